import type { Authentication, UserInfo } from '../authentication/authenticator.ts'
import { createNetworks } from '../config/networks.ts'
import type { ClientConnection } from '../http/exchange.ts'
import { accountName, normalSerial, type Lock, type LockTarget } from './lock.ts'

/** What a lock can name of a connection. */
export type LockedConnection = Pick<ClientConnection, 'remoteAddress' | 'peerCertificate'>

/** A lock that applies, and why it does if its target is not certain. */
export interface LockMatch {
  readonly lock: Lock
  readonly doubt?: string
}

/** Locks, indexed once, so that a request costs a few look-ups however many there are. */
export interface LockSet {
  readonly locks: readonly Lock[]
  /** The lock of a user's name or of one of the user's groups. `now` in milliseconds since the epoch. */
  findUser(user: UserInfo, now: number): LockMatch | undefined
  /**
   * The lock of a credential, or of the address that it came from. The certificate of the connection
   * counts, whomever it stands for: it may be that of a front proxy.
   */
  findCredential(
    authentication: Authentication,
    connection: LockedConnection,
    now: number,
  ): LockMatch | undefined
}

const UNKNOWN_GROUPS = 'the credential does not state its groups'

/** Indexes locks; of two with the same target the one that ends last counts. */
export function createLockSet(locks: readonly Lock[]): LockSet {
  const index = (target: LockTarget): ReadonlyMap<string, Lock> => {
    const byName = new Map<string, Lock>()
    for (const lock of locks) {
      const other = byName.get(lock.name)
      if (lock.target !== target || (other !== undefined && endOf(other) >= endOf(lock))) continue
      byName.set(lock.name, lock)
    }
    return byName
  }
  const users = index('user')
  const groups = index('group')
  const serials = index('certificateSerial')
  const tokens = index('tokenID')
  const accounts = index('disabledAccount')
  const networks = [...index('address').values()].map((lock) => {
    return { lock, contains: createNetworks([lock.name]) }
  })

  function findGroup(user: UserInfo, now: number): LockMatch | undefined {
    for (const group of user.groups) {
      const lock = inForce(groups.get(group), now)
      if (lock !== undefined) return { lock }
    }
    const { unassertedGroups } = user
    if (unassertedGroups === undefined) return undefined
    // As with deny rules: otherwise it would be enough to leave the groups out of a token.
    const possible =
      unassertedGroups === 'unknown'
        ? [...groups.values()]
        : unassertedGroups.map((group) => groups.get(group))
    const lock = possible.find((one) => inForce(one, now) !== undefined)
    if (lock === undefined) return undefined
    return unassertedGroups === 'unknown' ? { lock, doubt: UNKNOWN_GROUPS } : { lock }
  }

  return {
    locks,
    findUser(user, now) {
      const lock = inForce(users.get(user.username), now)
      if (lock !== undefined) return { lock }
      return groups.size === 0 ? undefined : findGroup(user, now)
    },
    findCredential({ tokenID, origin }, { remoteAddress, peerCertificate }, now) {
      const ofSerial =
        peerCertificate === undefined
          ? undefined
          : serials.get(normalSerial(peerCertificate.serialNumber))
      const ofToken = tokenID === undefined ? undefined : tokens.get(tokenID)
      const ofAddress = networks.find(
        ({ lock, contains }) => inForce(lock, now) !== undefined && contains(remoteAddress),
      )
      const ofAccount =
        accounts.size === 0 || origin?.subject === undefined
          ? undefined
          : accounts.get(accountName(origin.issuer, origin.subject))
      const lock =
        inForce(ofSerial, now) ??
        inForce(ofToken, now) ??
        inForce(ofAccount, now) ??
        ofAddress?.lock
      return lock === undefined ? undefined : { lock }
    },
  }
}

function inForce(lock: Lock | undefined, now: number): Lock | undefined {
  return lock !== undefined && now < endOf(lock) ? lock : undefined
}

function endOf({ until = Infinity }: Lock): number {
  return until
}
