/**
 * A revocation ends sign-ins before their credentials expire: the issuer says that a session has ended, or
 * that all sign-ins of a user until some time no longer count. A later sign-in is not affected, so that it is
 * not a lock (locks/lock.ts).
 */
import { hash } from 'node:crypto'

export interface Revocation {
  /** What has ended: `subjectKey`, `sessionKey`, `unnamedKey` or another digest. */
  readonly key: string
  /**
   * Credentials that were issued until then have ended, by the clock of the issuer in milliseconds since the
   * epoch. Undefined: all of them, since a session that ended does not begin again.
   */
  readonly before: number | undefined
  /** When it may be forgotten, in milliseconds since the epoch. */
  readonly until: number
  /** What has caused it, for the refusal and the audit event, such as `session-revoked`. */
  readonly event: string
}

/** The sign-in behind a credential, as revocations name it. */
export interface SignInKeys {
  readonly subject: string
  /** Undefined for a sign-in of which the issuer has not said which session it belongs to. */
  readonly session: string | undefined
}

const DIGEST_LENGTH = 22

/** Digests, since they are as short for every issuer, and show no names. */
function digest(...parts: readonly string[]): string {
  return hash('sha256', JSON.stringify(parts), 'base64url').slice(0, DIGEST_LENGTH)
}

/** Of all sign-ins of a user at an issuer. */
export function subjectKey(issuer: string, subject: string): string {
  return digest('subject', issuer, subject)
}

/** Of one session of an issuer. */
export function sessionKey(issuer: string, session: string): string {
  return digest('session', issuer, session)
}

/** Of a message of an issuer or transmitter (`jti`), which counts only once. */
export function messageKey(sender: string, id: string): string {
  return digest('message', sender, id)
}

/** Of what was last said about an account; it ends no sign-in. */
export function accountKey(state: string, issuer: string, subject: string): string {
  return digest(`account ${state}`, issuer, subject)
}

/**
 * Of the sign-ins of a user of which the issuer has not said which of its sessions they belong to: any that
 * ended may be theirs.
 *
 * @param subject from `subjectKey`
 */
export function unnamedKey(subject: string): string {
  return `${subject} unnamed`
}

/** A session that has ended, or all sessions of a user. At least one of subject and session is there. */
export interface SessionEnd {
  /** The URL of the issuer. */
  readonly issuer: string
  readonly subject: string | undefined
  readonly session: string | undefined
  /** When it ended, by the clock of the issuer, in milliseconds since the epoch. */
  readonly at: number
  /** What has said so. */
  readonly event: string
}

/**
 * The revocations of what has ended. They are remembered from when Gatehouse knows of it, which may be much
 * later: certificates may have been issued until then.
 *
 * @param now milliseconds since the epoch
 * @param lifetime milliseconds for which they are remembered
 */
export function revocationsOf(
  end: SessionEnd,
  { now, lifetime }: { readonly now: number; readonly lifetime: number },
): readonly Revocation[] {
  const { issuer, session, at, event } = end
  const subject = end.subject === undefined ? undefined : subjectKey(issuer, end.subject)
  // The clock of the issuer may be ahead.
  const common = { until: Math.max(at, now) + lifetime, event }
  if (session === undefined) {
    return subject === undefined ? [] : [{ key: subject, before: at, ...common }]
  }
  const ofSession = { key: sessionKey(issuer, session), before: undefined, ...common }
  return subject === undefined
    ? [ofSession]
    : [ofSession, { key: unnamedKey(subject), before: at, ...common }]
}

/** @param issuedAt milliseconds since the epoch */
export function appliesTo({ before }: Revocation, issuedAt: number): boolean {
  // Times of tokens are whole seconds: one of the same second may have been issued before.
  return before === undefined || issuedAt <= before
}

/** Whether one revocation ends everything that the other one of the same key ends. */
export function covers(one: Revocation, other: Revocation): boolean {
  return appliesTo(one, other.before ?? Infinity)
}
