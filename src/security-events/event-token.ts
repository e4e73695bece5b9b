/** Reads a security event token (RFC 8417) whose signature is verified. */
import { quote } from '../authentication/quote.ts'
import {
  isJsonObject,
  ownMember,
  parseJsonObject,
  type JsonObject,
} from '../authentication/oidc/strict-json.ts'
import { eventName, readEvent, type Effect, type EventName } from './event.ts'
import { SetError } from './set-error.ts'

export interface SecurityEvent {
  /** The issuer of the token. */
  readonly transmitter: string
  /** `jti`. */
  readonly id: string
  /** Undefined for an event that means nothing to Gatehouse. */
  readonly name: EventName | undefined
  /** When it happened, by the clock of the transmitter, in milliseconds since the epoch. */
  readonly at: number
  /** When the token was issued, as `at`. */
  readonly issuedAt: number
  readonly effect: Effect
}

export interface ExpectedEvent {
  /** `iss`, exactly. */
  readonly transmitter: string
  /** `aud` must contain one of them. */
  readonly audiences: readonly string[]
  /** The issuers whose users it may be about. */
  readonly issuers: readonly string[]
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Milliseconds after which an event is too old: its revocation would have ended. */
  readonly maxAge: number
}

/** How far the clock of the transmitter may be ahead, as for tokens. */
const LEEWAY_MS = 60_000
const MAX_ID_LENGTH = 256
/** Last second that an ECMAScript `Date` can represent, in the year 275760. */
const MAX_SECONDS = 8_640_000_000_000

/** @throws SetError */
export function readEventToken(payload: Uint8Array, expected: ExpectedEvent): SecurityEvent {
  const claims = claimsOf(payload)
  checkParties(claims, expected)
  const issuedAt = checkTimes(claims, expected)
  const [uri, event] = onlyEvent(ownMember(claims, 'events'))
  const name = eventName(uri)
  const effect = readEvent(name, event, subjectOf(claims, event), expected.issuers)
  // Nothing happens after the token that reports it: a time in the future would last for ever.
  const at = Math.min(issuedAt, eventTime(claims, event) ?? issuedAt)
  return { transmitter: expected.transmitter, id: idOf(claims), name, at, issuedAt, effect }
}

function claimsOf(payload: Uint8Array): JsonObject {
  try {
    return parseJsonObject(payload)
  } catch {
    throw new SetError('invalid_request', 'the payload is not one unambiguous JSON object')
  }
}

function checkParties(claims: JsonObject, { transmitter, audiences }: ExpectedEvent): void {
  if (ownMember(claims, 'iss') !== transmitter) {
    throw new SetError('invalid_issuer', 'iss is not the transmitter whose keys verified the token')
  }
  const audience = ownMember(claims, 'aud')
  const named: unknown[] = Array.isArray(audience) ? audience : [audience]
  if (named.some((one) => typeof one === 'string' && audiences.includes(one))) return
  throw new SetError('invalid_audience', `the token is for another audience: ${quote(named[0])}`)
}

/** When it was issued. */
function checkTimes(claims: JsonObject, { now, maxAge }: ExpectedEvent): number {
  const issuedAt = timeOf(claims, 'iat')
  if (issuedAt === undefined) throw new SetError('invalid_request', 'the token has no iat')
  if (issuedAt > now + LEEWAY_MS) {
    throw new SetError('invalid_request', 'iat is in the future: compare the clocks')
  }
  if (issuedAt <= now - maxAge) throw new SetError('invalid_request', 'the token is too old (iat)')
  const expiresAt = timeOf(claims, 'exp')
  if (expiresAt !== undefined && expiresAt <= now) {
    throw new SetError('invalid_request', 'the token has expired (exp)')
  }
  return issuedAt
}

/** In the event (CAEP 1.0 section 2), or in the token (RFC 8417 section 2.2). */
function eventTime(claims: JsonObject, event: JsonObject): number | undefined {
  return timeOf(event, 'event_timestamp') ?? timeOf(claims, 'toe')
}

/** A NumericDate in milliseconds; undefined without one. */
function timeOf(object: JsonObject, name: string): number | undefined {
  const value = ownMember(object, name) ?? undefined
  if (value === undefined) return undefined
  if (typeof value !== 'number') throw new SetError('invalid_request', `${name} is not a number`)
  // 1e999 is valid JSON and parses to Infinity, which JSON cannot say: nobody could read the revocation again.
  if (Math.abs(value) <= MAX_SECONDS) return value * 1_000
  throw new SetError('invalid_request', `${name} is out of range`)
}

function idOf(claims: JsonObject): string {
  const id = ownMember(claims, 'jti')
  if (typeof id === 'string' && id !== '' && id.length <= MAX_ID_LENGTH) return id
  throw new SetError('invalid_request', `jti is not a text of at most ${MAX_ID_LENGTH} characters`)
}

/** Of Shared Signals, a token has one event. */
function onlyEvent(events: unknown): readonly [string, JsonObject] {
  const all = isJsonObject(events) ? Object.entries(events) : []
  const [entry] = all
  if (entry === undefined || all.length > 1) {
    throw new SetError('invalid_request', 'the token does not have one event (events)')
  }
  const [uri, event] = entry
  if (isJsonObject(event)) return [uri, event]
  throw new SetError('invalid_request', 'the event is not an object')
}

/** In drafts, it is a member of the event. */
function subjectOf(claims: JsonObject, event: JsonObject): unknown {
  const subject = ownMember(claims, 'sub_id')
  const inEvent = ownMember(event, 'subject')
  if (subject !== undefined && inEvent !== undefined) {
    throw new SetError('invalid_request', 'the token has two subjects (sub_id, subject)')
  }
  return subject ?? inEvent
}
