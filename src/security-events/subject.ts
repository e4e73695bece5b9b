/** Whom an event is about: subject identifiers (RFC 9493, Shared Signals Framework 1.0 section 3). */
import { quote } from '../authentication/quote.ts'
import { isJsonObject, ownMember, type JsonObject } from '../authentication/oidc/strict-json.ts'
import { SetError } from './set-error.ts'

export interface EventSubject {
  readonly issuer: string
  /** `sub` at the issuer. */
  readonly user: string | undefined
  /** `sid` at the issuer. */
  readonly session: string | undefined
}

/** What Keycloak writes in place of the ID of a session when all sessions of a user have ended. */
const ALL_SESSIONS = 'ALL'
/** A name is a part of locks and audit events. */
const MAX_NAME_LENGTH = 512
// eslint-disable-next-line no-control-regex -- the expression finds them
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/

/**
 * Reads a subject identifier.
 *
 * @param issuers the issuers whose users the transmitter may speak of
 * @throws SetError for an identifier that names nobody whom Gatehouse could know, and for users of another
 * issuer
 */
export function readSubject(value: unknown, issuers: readonly string[]): EventSubject {
  const subject = objectOf(value, 'the subject')
  const { issuer, ...named } =
    formatOf(subject) === 'complex' ? readComplex(subject, issuers) : readSimple(subject, issuers)
  return { issuer: issuer ?? onlyOne(issuers), ...named }
}

/** A user, or one session of a user. Other members, such as the device, say less. */
function readComplex(subject: JsonObject, issuers: readonly string[]): NamedSubject {
  const member = (name: string): NamedSubject | undefined => {
    const value = ownMember(subject, name)
    return value === undefined ? undefined : readSimple(objectOf(value, name), issuers)
  }
  const [user, session] = [member('user'), member('session')]
  if (user !== undefined && user.user === undefined) throw unknown('the user is not iss_sub')
  if (session !== undefined && session.session === undefined) {
    throw unknown('the session is not opaque')
  }
  if (user === undefined) {
    if (session !== undefined) return session
    throw unknown('the complex subject names neither a user nor a session')
  }
  const isOfAll = session === undefined || session.session === ALL_SESSIONS
  return isOfAll ? user : { ...user, session: session.session }
}

/** Without an issuer if the identifier does not say it. */
type NamedSubject = Omit<EventSubject, 'issuer'> & { readonly issuer: string | undefined }

function readSimple(subject: JsonObject, issuers: readonly string[]): NamedSubject {
  const format = formatOf(subject)
  if (format === 'iss_sub') {
    const issuer = textOf(subject, 'iss')
    if (!issuers.includes(issuer)) {
      throw new SetError(
        'access_denied',
        `the transmitter may not send events about users of ${quote(issuer)}`,
      )
    }
    return { issuer, user: textOf(subject, 'sub'), session: undefined }
  }
  if (format === 'opaque') {
    return { issuer: undefined, user: undefined, session: textOf(subject, 'id') }
  }
  throw unknown(`the subject has the format ${quote(format)}; use iss_sub, opaque or complex`)
}

/** RISC 1.0 and earlier drafts name the format `subject_type`, and write it with a hyphen. */
function formatOf(subject: JsonObject): unknown {
  const format = ownMember(subject, 'format') ?? ownMember(subject, 'subject_type')
  if (format === 'iss-sub') return 'iss_sub'
  return format ?? (isComplex(subject) ? 'complex' : undefined)
}

/** In drafts, a complex subject has no format. */
function isComplex(subject: JsonObject): boolean {
  return isJsonObject(ownMember(subject, 'user')) || isJsonObject(ownMember(subject, 'session'))
}

function onlyOne(issuers: readonly string[]): string {
  const [issuer] = issuers
  if (issuer !== undefined && issuers.length === 1) return issuer
  throw unknown('a session without its user could be of several issuers')
}

function objectOf(value: unknown, what: string): JsonObject {
  if (isJsonObject(value)) return value
  throw new SetError('invalid_request', `${what} is not an object`)
}

function textOf(subject: JsonObject, name: string): string {
  const value = ownMember(subject, name)
  if (typeof value !== 'string' || value === '') {
    throw new SetError('invalid_request', `${name} of the subject is not a text`)
  }
  if (value.length > MAX_NAME_LENGTH || CONTROL.test(value)) {
    throw unknown(
      `${name} of the subject is longer than ${MAX_NAME_LENGTH} characters, or not one line`,
    )
  }
  return value
}

function unknown(message: string): SetError {
  return new SetError('invalid_request', `unknown subject: ${message}`)
}
