import { keysOf, type IssuerSession, type Session } from './session.ts'

/**
 * The sessions that ended before their time, in the memory of this process: a cookie cannot be taken
 * back from where it was copied to. Other replicas do not know of them.
 */
export interface EndedSessions {
  /** The user has signed out. */
  end(session: Session): void
  /** The issuer has ended its session, or, without one, all sessions of the user that began until now. */
  endAtIssuer(
    issued: Omit<IssuerSession, 'subject'> & { readonly subject: string | undefined },
  ): void
  isEnded(session: Session): boolean
}

export interface EndedSessionsOptions {
  /** How long a session may last, in milliseconds: an end is remembered as long. */
  readonly lifetime: number
  /** Ends that are remembered; beyond them, older sessions count as ended. */
  readonly maxEntries: number
}

/** @param now milliseconds since the epoch */
export function createEndedSessions(
  { lifetime, maxEntries }: EndedSessionsOptions,
  { now }: { readonly now: () => number },
): EndedSessions {
  /** When each was ended, the oldest first. */
  const ended = new Map<string, number>()
  /** What was forgotten for want of room ends everything that began before. */
  let watermark = -Infinity

  function remember(key: string): void {
    const at = now()
    ended.delete(key)
    ended.set(key, at)
    for (const [oldest, endedAt] of ended) {
      const hasExpired = endedAt + lifetime < at
      if (!hasExpired && ended.size <= maxEntries) break
      if (!hasExpired) watermark = Math.max(watermark, endedAt)
      ended.delete(oldest)
    }
  }

  const endedAfter = (key: string, began: number): boolean => (ended.get(key) ?? -Infinity) >= began

  return {
    end: ({ id }) => remember(id),
    endAtIssuer({ issuer, subject, session }) {
      const keys = keysOf({ issuer, subject: subject ?? '', session })
      if (keys.issuerSession === undefined) remember(keys.subject)
      else remember(keys.issuerSession)
      // The ID token did not name the session: it may be this one.
      if (subject !== undefined && session !== undefined) remember(unnamed(keys.subject))
    },
    isEnded: ({ id, subject, issuerSession, signedInAt }) =>
      signedInAt <= watermark ||
      ended.has(id) ||
      endedAfter(subject, signedInAt) ||
      endedAfter(issuerSession ?? unnamed(subject), signedInAt),
  }
}

/** The sessions of a user of which the issuer has not said which of its own they belong to. */
function unnamed(subject: string): string {
  return `${subject} unnamed`
}
