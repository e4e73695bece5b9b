import { expect, test } from 'vitest'

import { readEventToken } from '../../src/security-events/event-token.ts'
import { SetError } from '../../src/security-events/set-error.ts'
import { AUDIENCE, eventClaims, EVENTS, type EventOptions } from './transmitter.ts'

const TRANSMITTER = 'https://idp.example.com'
const ISSUER = 'https://idp.example.com/realms/company'
const ADA = { format: 'iss_sub', iss: ISSUER, sub: 'ada' }
const NOW = Math.floor(Date.now() / 1_000)
const DAY = 86_400

function read(options: EventOptions, issuers: readonly string[] = [ISSUER]) {
  const claims = eventClaims(TRANSMITTER, { ...options, claims: { iat: NOW, ...options.claims } })
  return readEventToken(Buffer.from(JSON.stringify(claims)), {
    ...{ transmitter: TRANSMITTER, audiences: [AUDIENCE, 'second'], issuers },
    ...{ now: NOW * 1_000, maxAge: DAY * 1_000 },
  })
}

function codeOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    expect(error).toBeInstanceOf(SetError)
    const { code, message } = error as SetError
    return `${code}: ${message}`
  }
  return 'accepted'
}

const subject = (user: string | undefined, session?: string, issuer = ISSUER) => ({
  ...{ issuer, user, session },
})
const SESSION = { format: 'opaque', id: 's-1' }

const EFFECTS: readonly (readonly [string, EventOptions, unknown])[] = [
  ['all sessions of a user', { subject: ADA }, { kind: 'end', subject: subject('ada') }],
  [
    'one session of a user',
    { subject: { format: 'complex', user: ADA, session: SESSION } },
    { kind: 'end', subject: subject('ada', 's-1') },
  ],
  [
    'all sessions of a user, as Keycloak names them',
    { subject: { format: 'complex', user: ADA, session: { format: 'opaque', id: 'ALL' } } },
    { kind: 'end', subject: subject('ada') },
  ],
  [
    'a session',
    { subject: { format: 'complex', session: SESSION } },
    { kind: 'end', subject: subject(undefined, 's-1') },
  ],
  ['a session alone', { subject: SESSION }, { kind: 'end', subject: subject(undefined, 's-1') }],
  [
    'a user with a device: all sessions',
    { subject: { format: 'complex', user: ADA, device: { format: 'opaque', id: 'laptop' } } },
    { kind: 'end', subject: subject('ada') },
  ],
  [
    'a subject in the event, as in drafts',
    { payload: { subject: { subject_type: 'iss-sub', iss: ISSUER, sub: 'ada' } } },
    { kind: 'end', subject: subject('ada') },
  ],
  [
    'a complex subject without a format, as in drafts',
    { payload: { subject: { user: ADA, session: SESSION } } },
    { kind: 'end', subject: subject('ada', 's-1') },
  ],
  ...['revoke', 'update', 'delete'].map(
    (change) =>
      [
        `a credential: ${change}`,
        { event: EVENTS.credentialChange, payload: { change_type: change }, subject: ADA },
        { kind: 'end', subject: subject('ada') },
      ] as const,
  ),
  [
    'a credential, with a session: all of them',
    {
      ...{ event: EVENTS.credentialChange, payload: { change_type: 'revoke' } },
      subject: { format: 'complex', user: ADA, session: SESSION },
    },
    { kind: 'end', subject: subject('ada') },
  ],
  [
    'a credential that was added',
    { event: EVENTS.credentialChange, payload: { change_type: 'create' }, subject: ADA },
    { kind: 'none', why: 'a credential was added' },
  ],
  [
    'a device that is not compliant',
    {
      event: EVENTS.deviceComplianceChange,
      payload: { previous_status: 'compliant', current_status: 'not-compliant' },
      subject: { format: 'complex', user: ADA, device: { format: 'opaque', id: 'laptop' } },
    },
    { kind: 'end', subject: subject('ada') },
  ],
  [
    'a device that is compliant',
    {
      event: EVENTS.deviceComplianceChange,
      payload: { previous_status: 'not-compliant', current_status: 'compliant' },
      subject: ADA,
    },
    { kind: 'none', why: 'the device is compliant' },
  ],
  [
    'a disabled account',
    { event: EVENTS.accountDisabled, payload: { reason: 'hijacking' }, subject: ADA },
    { kind: 'disable', subject: subject('ada') },
  ],
  [
    'an enabled account',
    { event: EVENTS.accountEnabled, subject: ADA },
    { kind: 'enable', subject: subject('ada') },
  ],
  [
    'the verification of the stream',
    { event: EVENTS.verification, payload: { state: 'x' }, subject: { format: 'opaque', id: 's' } },
    { kind: 'none', why: 'the stream was verified' },
  ],
  [
    'an event of another kind',
    { event: 'https://schemas.example.com/lunch', subject: 'whatever' },
    { kind: 'none', why: 'an event without a meaning for Gatehouse' },
  ],
]

test.for(EFFECTS)('%s', ([, options, effect]) => {
  expect(read(options)).toMatchObject({ transmitter: TRANSMITTER, at: NOW * 1_000, effect })
})

test('one of several audiences is enough', () => {
  expect(read({ subject: ADA, claims: { aud: ['other', 'second'] } }).effect.kind).toBe('end')
})

test('the time of an event is its own, but not later than its token', () => {
  const at = (options: EventOptions) => read({ subject: ADA, ...options }).at / 1_000 - NOW
  expect(at({ payload: { event_timestamp: NOW - 90 } })).toBe(-90)
  expect(at({ claims: { toe: NOW - 30 } })).toBe(-30)
  expect(at({ payload: { event_timestamp: NOW - 90 }, claims: { toe: NOW - 30 } })).toBe(-90)
  // Tokens that will be issued in the future would be refused for ever.
  expect(at({ payload: { event_timestamp: NOW + 9_000_000 } })).toBe(0)
  expect(at({ claims: { toe: NOW + 9_000_000 } })).toBe(0)
})

const REFUSED: readonly (readonly [string, EventOptions, string])[] = [
  ['another issuer', { claims: { iss: 'https://evil.example' } }, 'invalid_issuer'],
  ['another audience', { claims: { aud: 'https://other.example.com' } }, 'invalid_audience'],
  ['no audience', { claims: { aud: undefined } }, 'invalid_audience'],
  ['an audience that is an object', { claims: { aud: { 0: AUDIENCE } } }, 'invalid_audience'],
  ['no iat', { claims: { iat: undefined } }, 'invalid_request: the token has no iat'],
  ['a text as iat', { claims: { iat: String(NOW) } }, 'invalid_request: iat is not a number'],
  ['a time in the future', { claims: { iat: NOW + 61 } }, 'invalid_request: iat is in the future'],
  [
    'a time that is too old',
    { claims: { iat: NOW - DAY } },
    'invalid_request: the token is too old',
  ],
  ['an expired token', { claims: { exp: NOW } }, 'invalid_request: the token has expired'],
  ['no jti', { claims: { jti: undefined } }, 'invalid_request: jti'],
  ['an empty jti', { claims: { jti: '' } }, 'invalid_request: jti'],
  ['a jti that is too long', { claims: { jti: 'j'.repeat(257) } }, 'invalid_request: jti'],
  ['no event', { claims: { events: {} } }, 'invalid_request: the token does not have one event'],
  ['events as a list', { claims: { events: [{}] } }, 'invalid_request'],
  [
    'two events',
    { claims: { events: { [EVENTS.sessionRevoked]: {}, [EVENTS.verification]: {} } } },
    'invalid_request: the token does not have one event',
  ],
  ['an event that is a text', { payload: 'x' }, 'invalid_request: the event is not an object'],
  ['no subject', { subject: undefined }, 'invalid_request: the subject is not an object'],
  ['two subjects', { payload: { subject: ADA } }, 'invalid_request: the token has two subjects'],
  ['a user of another issuer', { subject: { ...ADA, iss: 'https://x.example' } }, 'access_denied'],
  [
    'a user of another issuer in a complex subject',
    { subject: { format: 'complex', user: { ...ADA, iss: `${ISSUER}/` }, session: SESSION } },
    'access_denied',
  ],
  [
    'an email address',
    { subject: { format: 'email', email: 'a@b.c' } },
    'invalid_request: unknown',
  ],
  ['a complex subject of nobody', { subject: { format: 'complex' } }, 'invalid_request: unknown'],
  [
    'a user without an issuer',
    { subject: { format: 'complex', user: { format: 'opaque', id: 'ada' } } },
    'invalid_request: unknown subject: the user is not iss_sub',
  ],
  [
    'a session that is a user',
    { subject: { format: 'complex', session: ADA } },
    'invalid_request: unknown subject: the session is not opaque',
  ],
  ['a sub that is a list', { subject: { ...ADA, sub: ['ada'] } }, 'invalid_request: sub'],
  ['an empty sub', { subject: { ...ADA, sub: '' } }, 'invalid_request: sub'],
  ['a sub of two lines', { subject: { ...ADA, sub: 'ada\nbob' } }, 'invalid_request: unknown'],
  ['a sub that is too long', { subject: { ...ADA, sub: 'a'.repeat(513) } }, 'invalid_request'],
  [
    'a change of an unknown type',
    { event: EVENTS.credentialChange, payload: { change_type: 'x' } },
    'invalid_request: the change_type',
  ],
  [
    'an unknown status of a device',
    { event: EVENTS.deviceComplianceChange, payload: {} },
    'invalid_request: the current_status',
  ],
  [
    'a disabled session',
    { event: EVENTS.accountDisabled, subject: SESSION },
    'invalid_request: unknown subject: the event names no user',
  ],
  [
    'a time that no date can have',
    { claims: { iat: -1e308 } },
    'invalid_request: iat is out of range',
  ],
  [
    'a time of the event that no date can have, which would not be a number in milliseconds',
    { payload: { event_timestamp: -1e308 } },
    'invalid_request: event_timestamp is out of range',
  ],
  ['a time (toe) that no date can have', { claims: { toe: 1e308 } }, 'invalid_request: toe is out'],
  [
    'a time of the event that is not a number',
    { payload: { event_timestamp: 'yesterday' } },
    'invalid_request: event_timestamp is not a number',
  ],
]

test.for(REFUSED)('%s is refused', ([, options, code]) => {
  expect(codeOf(() => read({ subject: ADA, ...options }))).toContain(code)
})

test('a session without its user is refused if it could be of several issuers', () => {
  const issuers = [ISSUER, 'https://idp.example.com/realms/second']
  expect(codeOf(() => read({ subject: SESSION }, issuers))).toContain('several issuers')
  expect(
    read({ subject: { format: 'complex', user: ADA, session: SESSION } }, issuers),
  ).toMatchObject({ effect: { subject: subject('ada', 's-1') } })
})

test('JSON with a repeated member is refused', () => {
  const bytes = Buffer.from('{"iss":"a","iss":"b"}')
  const expected = { transmitter: 'b', audiences: [], issuers: [], now: 0, maxAge: 1 }
  expect(codeOf(() => readEventToken(bytes, expected))).toContain('one unambiguous JSON object')
})
