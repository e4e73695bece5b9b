/** What events mean for Gatehouse (CAEP 1.0, RISC Profile 1.0, Shared Signals Framework 1.0). */
import { quote } from '../authentication/quote.ts'
import { ownMember, type JsonObject } from '../authentication/oidc/strict-json.ts'
import { SetError } from './set-error.ts'
import { readSubject, type EventSubject } from './subject.ts'

export type Effect =
  /** All sessions of the subject, or the one that it names, have ended. */
  | { readonly kind: 'end'; readonly subject: EventSubject }
  | { readonly kind: 'disable' | 'enable'; readonly subject: AccountSubject }
  /** Nothing happens. */
  | { readonly kind: 'none'; readonly why: string }

/** A user, with all sessions. */
export type AccountSubject = EventSubject & {
  readonly user: string
  readonly session: undefined
}

/** Short names of the events that have a meaning, for audit events and metrics. */
const NAMES: ReadonlyMap<string, EventName> = new Map(
  Object.entries({
    'https://schemas.openid.net/secevent/caep/event-type/session-revoked': 'session-revoked',
    'https://schemas.openid.net/secevent/caep/event-type/credential-change': 'credential-change',
    'https://schemas.openid.net/secevent/caep/event-type/device-compliance-change':
      'device-compliance-change',
    'https://schemas.openid.net/secevent/risc/event-type/account-disabled': 'account-disabled',
    'https://schemas.openid.net/secevent/risc/event-type/account-enabled': 'account-enabled',
    'https://schemas.openid.net/secevent/ssf/event-type/verification': 'verification',
    'https://schemas.openid.net/secevent/ssf/event-type/stream-updated': 'stream-updated',
  } as const),
)

export type EventName =
  | 'session-revoked'
  | 'credential-change'
  | 'device-compliance-change'
  | 'account-disabled'
  | 'account-enabled'
  | 'verification'
  | 'stream-updated'

/** Undefined for an event that means nothing to Gatehouse. */
export function eventName(uri: string): EventName | undefined {
  return NAMES.get(uri)
}

/**
 * Reads what an event says.
 *
 * @param subject of the token; undefined if it has none
 * @param issuers the issuers whose users the transmitter may speak of
 * @throws SetError
 */
export function readEvent(
  name: EventName | undefined,
  payload: JsonObject,
  subject: unknown,
  issuers: readonly string[],
): Effect {
  switch (name) {
    case undefined:
      return { kind: 'none', why: 'an event without a meaning for Gatehouse' }
    case 'verification':
      return { kind: 'none', why: 'the stream was verified' }
    case 'stream-updated':
      return { kind: 'none', why: `the stream is now ${quote(ownMember(payload, 'status'))}` }
    case 'session-revoked':
      return { kind: 'end', subject: readSubject(subject, issuers) }
    case 'credential-change':
      return readCredentialChange(payload, subject, issuers)
    case 'device-compliance-change':
      return readCompliance(payload, subject, issuers)
    case 'account-disabled':
      return { kind: 'disable', subject: withoutSession(readSubject(subject, issuers)) }
    case 'account-enabled':
      return { kind: 'enable', subject: withoutSession(readSubject(subject, issuers)) }
  }
}

const CHANGES: ReadonlySet<unknown> = new Set(['revoke', 'update', 'delete'])

function readCredentialChange(
  payload: JsonObject,
  subject: unknown,
  issuers: readonly string[],
): Effect {
  const change = ownMember(payload, 'change_type')
  const user = withoutSession(readSubject(subject, issuers))
  // What the user could sign in with before is as good as it was.
  if (change === 'create') return { kind: 'none', why: 'a credential was added' }
  if (CHANGES.has(change)) return { kind: 'end', subject: user }
  throw new SetError('invalid_request', `the change_type is ${quote(change)}`)
}

function readCompliance(payload: JsonObject, subject: unknown, issuers: readonly string[]): Effect {
  const status = ownMember(payload, 'current_status')
  const user = withoutSession(readSubject(subject, issuers))
  if (status === 'compliant') return { kind: 'none', why: 'the device is compliant' }
  if (status === 'not-compliant') return { kind: 'end', subject: user }
  throw new SetError('invalid_request', `the current_status is ${quote(status)}`)
}

/** Credentials, devices and accounts are of a user, whichever sessions there are. */
function withoutSession({ issuer, user }: EventSubject): AccountSubject {
  if (user !== undefined) return { issuer, user, session: undefined }
  throw new SetError('invalid_request', 'unknown subject: the event names no user')
}
