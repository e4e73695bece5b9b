import type { RevocationSet } from '../../revocations/revocation-set.ts'
import type { RevocationStore } from '../../revocations/store.ts'
import { StatusError } from '../../status.ts'
import type { Session } from './session.ts'

/** The sessions that ended before their time: a cookie cannot be taken back from where it was copied to. */
export interface EndedSessions {
  /** The user has signed out. Rejects with StatusError 503 when that may be forgotten. */
  end(session: Session): Promise<void>
  /** @throws StatusError 503 while nobody knows which sessions have ended */
  isEnded(session: Session): boolean
}

/** Revocations, and where they are kept. */
export interface KeptRevocations {
  readonly set: Pick<RevocationSet, 'find' | 'get'>
  readonly store: Pick<RevocationStore, 'add' | 'unavailable'>
}

export interface EndedSessionsOptions {
  /** What issuers have ended. */
  readonly issuers: KeptRevocations
  /** The sessions that users have ended themselves. They have a place of their own, which they cannot fill for others. */
  readonly own: KeptRevocations
}

export function createEndedSessions({ issuers, own }: EndedSessionsOptions): EndedSessions {
  return {
    async end({ id, expiresAt }) {
      const revocation = { key: id, before: undefined, until: expiresAt, event: 'sign-out' }
      await own.store.add({ revocations: [revocation] })
    },
    isEnded({ id, subject, issuerSession, issuedAt }) {
      const problem = issuers.store.unavailable ?? own.store.unavailable
      if (problem !== undefined) throw new StatusError('ServiceUnavailable', problem)
      if (own.set.get(id) !== undefined) return true
      return issuers.set.find({ subject, session: issuerSession }, issuedAt) !== undefined
    },
  }
}
