/** Refuses credentials of sign-ins that their issuer has ended. */
import type { Authentication, SignInOrigin } from '../authentication/authenticator.ts'
import { quote } from '../authentication/quote.ts'
import { retryAfter, StatusError } from '../status.ts'
import { sessionKey, subjectKey, type Revocation, type SignInKeys } from './revocation.ts'
import type { RevocationSet } from './revocation-set.ts'

export interface RevocationsOptions {
  /** How long a revocation is remembered, in milliseconds. An older token may be one that was forgotten. */
  readonly lifetime: number
  /** Whether this issuer says which sign-ins have ended, so that its users' credentials are judged. */
  readonly isCovered: (issuer: string) => boolean
}

export interface RevocationsEffects {
  readonly set: Pick<RevocationSet, 'find'>
  /** Why nobody knows which sessions have ended; undefined: it is known. */
  readonly unavailable: () => string | undefined
  /** Milliseconds since the epoch. */
  readonly now?: () => number
}

export interface Revocations {
  /** The refusal of a request with this credential, undefined if it is good. */
  refusalOf(authentication: Authentication): StatusError | undefined
  /** Why what runs with this credential must end; undefined if it may go on. */
  endOf(authentication: Authentication): StatusError | undefined
}

/** What requests need. It costs nothing for users of other issuers, and a few look-ups for the others. */
export function createRevocations(
  { lifetime, isCovered }: RevocationsOptions,
  { set, unavailable, now = Date.now }: RevocationsEffects,
): Revocations {
  // A sign-in is judged with each of its requests.
  const keys = new WeakMap<SignInOrigin, SignInKeys>()

  function find(origin: SignInOrigin, subject: string, issuedAt: number): Revocation | undefined {
    let known = keys.get(origin)
    if (known === undefined) {
      known = keysOf({ ...origin, subject })
      keys.set(origin, known)
    }
    return set.find(known, issuedAt)
  }

  /** Rejects what could not be found among the revocations. */
  function unknownOrigin({ subject, issuedAt, credentialIssuedAt }: SignInOrigin) {
    if (subject === undefined) return refusal('the sign-in names no user (sub)')
    if (issuedAt === undefined) return refusal('the token does not say when it was issued (iat)')
    if (now() - credentialIssuedAt <= lifetime) return undefined
    return refusal('the token is older than revocations are remembered')
  }

  function endOf({ origin }: Authentication): StatusError | undefined {
    if (origin === undefined || !isCovered(origin.issuer)) return undefined
    const { issuer, subject, issuedAt } = origin
    if (subject === undefined || issuedAt === undefined) return undefined
    const found = find(origin, subject, issuedAt)
    return found === undefined ? undefined : revoked(issuer, found)
  }

  return {
    endOf,
    refusalOf(authentication) {
      const { origin } = authentication
      if (origin === undefined || !isCovered(origin.issuer)) return undefined
      const problem = unavailable()
      if (problem !== undefined) return unknownRevocations(problem)
      return unknownOrigin(origin) ?? endOf(authentication)
    },
  }
}

/** What revocations of a sign-in are about. */
export function keysOf({
  issuer,
  subject,
  session,
}: Pick<SignInOrigin, 'issuer' | 'session'> & { readonly subject: string }): SignInKeys {
  return {
    subject: subjectKey(issuer, subject),
    session: session === undefined ? undefined : sessionKey(issuer, session),
  }
}

function revoked(issuer: string, { event, before }: Revocation): StatusError {
  const when = before === undefined ? '' : ` at ${new Date(before).toISOString()}`
  return refusal(`your session at ${quote(issuer)} has ended (${event}${when})`)
}

/** A 401, as for a token that has expired: clients that can sign in again do. */
function refusal(what: string): StatusError {
  return new StatusError('Unauthorized', `${what}: sign in again`, { revocation: what })
}

function unknownRevocations(problem: string): StatusError {
  return new StatusError('ServiceUnavailable', problem, retryAfter(1))
}
