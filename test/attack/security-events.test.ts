/**
 * Security events: who may end the sign-ins of others, and lock their accounts. Anyone can send them, so that
 * everything depends on the token, and on the header that a transmitter may have to send.
 */
import { createHmac } from 'node:crypto'
import { text } from 'node:stream/consumers'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import {
  createSigningKey,
  sendJson,
  startIssuer,
  type SigningKey,
  type TestIssuer,
} from '../authentication/oidc/issuer.ts'
import {
  AUDIENCE,
  eventClaims,
  EVENTS,
  signEvent,
  type EventOptions,
} from '../security-events/transmitter.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import { createClient, type ClientResponse } from '../support/client.ts'
import { openWatch } from '../support/reloading.ts'

const PATH = '/gatehouse/security-events'
const PODS = '/api/v1/namespaces/d/pods'
const AUTHORIZATION = 'Bearer a-secret-of-the-transmitter'
const POLLING = { timeout: 10_000, interval: 20 }
const seconds = (): number => Math.floor(Date.now() / 1_000)

let attack: Attack
/** Publishes the metadata and keys of the transmitter. */
let transmitter: TestIssuer
let key: SigningKey
let foreign: SigningKey

beforeAll(async () => {
  ;[key, foreign] = await Promise.all([createSigningKey('t-1'), createSigningKey('t-1')])
  transmitter = await startIssuer([key.publicJwk])
  transmitter.overrides.set('/.well-known/ssf-configuration', (_, response) => {
    sendJson(response, { issuer: transmitter.url, jwks_uri: `${transmitter.url}/keys` })
  })
  attack = await startAttack({
    transmitter: {
      issuer: transmitter.url,
      audiences: [AUDIENCE],
      push: { authorizationFile: 'push-authorization' },
      certificateAuthorityFile: 'transmitter-ca.crt',
    },
    files: {
      'push-authorization': `${AUTHORIZATION}\n`,
      'transmitter-ca.crt': transmitter.certificateAuthority,
    },
  })
})

afterAll(async () => {
  await attack.close()
  await transmitter.close()
})

const subjectOf = (sub: string) => ({ format: 'iss_sub', iss: attack.gatehouse.issuer.url, sub })

/** An event about ada, who is not logged out by anything in this file. */
function sign(options: EventOptions = {}, signer = key): Promise<string> {
  return signEvent(transmitter.url, signer, { subject: subjectOf('ada'), ...options })
}

async function push(
  body: string,
  headers: Record<string, string> = {},
  method = 'POST',
): Promise<ClientResponse> {
  const { url, ca } = attack.gatehouse
  const client = createClient({ url, ca })
  const usual = { 'content-type': 'application/secevent+jwt', authorization: AUTHORIZATION }
  try {
    return await client.ask(PATH, { method, body, headers: { ...usual, ...headers } })
  } finally {
    await client.close()
  }
}

/** What the API says to a token that was issued some seconds ago. */
async function ask(claims: Readonly<Record<string, unknown>> = {}, path = PODS) {
  const { url, ca } = attack.gatehouse
  const token = await attack.gatehouse.token({ iat: seconds() - 30, ...claims })
  const client = createClient({ url, ca, token })
  try {
    const { status, body } = await client.ask(path)
    return { code: status, message: (JSON.parse(body) as { message?: string }).message ?? '' }
  } finally {
    await client.close()
  }
}

/** An unsigned token, or one whose signature anybody can make. */
function handmade(header: Readonly<Record<string, unknown>>, secret?: string): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = eventClaims(transmitter.url, { subject: subjectOf('ada') })
  const input = `${part({ typ: 'secevent+jwt', ...header })}.${part(claims)}`
  const signature =
    secret === undefined ? 'AA' : createHmac('sha256', secret).update(input).digest('base64url')
  return `${input}.${signature}`
}

const publicKey = (): string => JSON.stringify(key.publicJwk)

const REFUSED: readonly (readonly [string, string, () => string | Promise<string>])[] = [
  ['signed by another key with the same key ID', 'invalid_key', () => sign({}, foreign)],
  ['signed by the issuer of the users', 'invalid_key', () => sign({}, attack.gatehouse.signingKey)],
  ['without a signature', 'invalid_request', () => handmade({ alg: 'none' })],
  [
    'signed with the public key as a secret',
    'invalid_request',
    () => handmade({ alg: 'HS256', kid: 't-1' }, publicKey()),
  ],
  [
    'with its own key in the header',
    'invalid_key',
    () => sign({ header: { jwk: foreign.publicJwk } }, foreign),
  ],
  [
    'of an unknown transmitter',
    'invalid_issuer',
    () => sign({ claims: { iss: 'https://x.example' } }),
  ],
  [
    'of the issuer of the users, which is not a transmitter',
    'invalid_issuer',
    () => sign({ claims: { iss: attack.gatehouse.issuer.url } }, attack.gatehouse.signingKey),
  ],
  ['for another audience', 'invalid_audience', () => sign({ claims: { aud: 'kubernetes' } })],
  ['that is an ID token', 'invalid_request', () => sign({ header: { typ: 'JWT' } })],
  ['that is a logout token', 'invalid_request', () => sign({ header: { typ: 'logout+jwt' } })],
  ['without a type', 'invalid_request', () => sign({ header: { typ: undefined } })],
  ['that is too old', 'invalid_request', () => sign({ claims: { iat: seconds() - 86_400 } })],
  ['from the future', 'invalid_request', () => sign({ claims: { iat: seconds() + 600 } })],
  [
    'about a user of another issuer',
    'access_denied',
    () => sign({ subject: { ...subjectOf('ada'), iss: 'https://other.example' } }),
  ],
  ['that is not a token', 'invalid_request', () => 'hello'],
  ['of deep JSON', 'invalid_request', () => `e30.${nested()}.AA`],
  ['of a megabyte', 'invalid_request', () => 'x'.repeat(1_048_576)],
  [
    'that is larger than a token may be',
    'invalid_request',
    () => sign({ payload: { reason_admin: 'x'.repeat(15_000) } }),
  ],
]

function nested(): string {
  return Buffer.from('{"a":'.repeat(2_000) + '1' + '}'.repeat(2_000)).toString('base64url')
}

test.for(REFUSED)('a token %s is refused as %s, and ends nothing', async ([, code, make]) => {
  const { value, events } = await attack.watching(async () => push(await make()))
  expect(value.status).toBe(400)
  expect(value.headers).toMatchObject({
    ...{
      'content-type': 'application/json',
      'content-language': 'en',
      'cache-control': 'no-store',
    },
  })
  expect(JSON.parse(value.body)).toEqual({ err: code, description: expect.any(String) as string })
  const own = events.filter(({ requestURI }) => requestURI === PATH)
  expect(own).toMatchObject([{ responseStatus: { code: 400, reason: 'BadRequest' } }])
  expect(await ask()).toMatchObject({ code: 200 })
})

test('what a refusal says is what the audit event says, and quotes no token', async () => {
  const token = await sign({ claims: { aud: 'kubernetes' } })
  const { value, events } = await attack.watching(() => push(token))
  const { description } = JSON.parse(value.body) as { description: string }
  expect(description).toBe('the token is for another audience: "kubernetes"')
  const own = events.find(({ requestURI }) => requestURI === PATH)
  expect(own?.responseStatus?.message).toBe(`security event refused: ${description}`)
  expect(JSON.stringify(own)).not.toContain(token.slice(0, 60))
})

test.for([
  ['no header', { authorization: '' }],
  ['another header', { authorization: `${AUTHORIZATION}x` }],
  ['another scheme', { authorization: AUTHORIZATION.replace('Bearer', 'bearer') }],
] as const)('a valid token with %s is refused', async ([, headers]) => {
  const { status, body } = await push(await sign({ subject: subjectOf('ada') }), headers)
  expect({ status, ...(JSON.parse(body) as object) }).toMatchObject({
    ...{ status: 400, err: 'authentication_failed' },
  })
  expect(await ask()).toMatchObject({ code: 200 })
})

test('another content type, another method and another spelling of the path end nothing', async () => {
  const token = await sign()
  expect((await push(token, { 'content-type': 'application/jwt' })).status).toBe(400)
  expect((await push(token, {}, 'PUT')).status).toBe(405)
  expect((await ask({}, `${PATH}/`)).code).toBe(404)
  expect((await ask()).code).toBe(200)
})

test('an event is not a credential', async () => {
  const { url, ca } = attack.gatehouse
  const client = createClient({ url, ca, token: await sign() })
  expect((await client.ask(PODS)).status).toBe(401)
  await client.close()
})

test('an event ends a session everywhere, at once, for good, and no other one', async () => {
  const own = { sub: 'eve', sid: 's-1' }
  const session = { format: 'opaque', id: 's-1' }
  const subject = { format: 'complex', user: subjectOf('eve'), session }
  const { events } = await attack.watching(async () => {
    expect((await ask(own)).code).toBe(200)
    const { status, body } = await push(await sign({ subject, claims: { jti: 'j-1' } }))
    expect({ status, body }).toEqual({ status: 202, body: '' })
    for (const iat of [seconds() - 30, seconds() + 30]) {
      expect(await ask({ ...own, iat })).toEqual({
        code: 401,
        message: `your session at "${attack.gatehouse.issuer.url}" has ended (session-revoked): sign in again`,
      })
    }
    expect((await ask({ ...own, sid: 's-2' })).code).toBe(200)
  })
  expect(events.find(({ requestURI }) => requestURI === PATH)).toMatchObject({
    user: { username: transmitter.url },
    responseStatus: { code: 202 },
    annotations: {
      'gatehouse/method': 'security-event',
      'gatehouse/revocation': `session-revoked "j-1": ended: session "s-1" of user "eve" at "${attack.gatehouse.issuer.url}"`,
    },
  })
})

test('the streams of a user whose password was changed end, and a new sign-in works at once', async () => {
  const watch = text(await openWatch({ ...attack, claims: { sub: 'mia' } }))
  const changed = {
    ...{ event: EVENTS.credentialChange, subject: subjectOf('mia') },
    payload: { credential_type: 'password', change_type: 'update' },
  }
  // The token of the watch is of this second.
  expect((await push(await sign({ ...changed, claims: { iat: seconds() + 1 } }))).status).toBe(202)
  expect(JSON.parse(await watch)).toMatchObject({
    object: {
      code: 401,
      message: expect.stringContaining('has ended (credential-change') as string,
    },
  })
  expect((await ask({ sub: 'mia' })).code).toBe(401)
  expect((await ask({ sub: 'mia', iat: seconds() + 2 })).code).toBe(200)
})

describe('a disabled account', () => {
  const disable = () => ({ event: EVENTS.accountDisabled, subject: subjectOf('mallory') })
  const enable = () => ({ event: EVENTS.accountEnabled, subject: subjectOf('mallory') })
  const later = { sub: 'mallory', iat: seconds() + 50 }

  test('is locked, new tokens included, until it is enabled', async () => {
    const disabled = await sign({ ...disable(), claims: { iat: seconds() - 20 } })
    expect((await push(disabled)).status).toBe(202)
    expect((await ask({ sub: 'mallory' })).code).toBe(401)
    expect(await ask(later)).toEqual({
      code: 403,
      message: expect.stringMatching(
        /the disabled account .* is locked: The account was disabled at the identity provider\./,
      ) as string,
    })
    expect((await ask({ sub: 'grace' })).code).toBe(200)
    expect((await push(await sign({ ...enable(), claims: { iat: seconds() - 10 } }))).status).toBe(
      202,
    )
    expect((await ask(later)).code).toBe(200)
    // A replay locks nobody again.
    expect((await push(disabled)).status).toBe(202)
    expect((await ask(later)).code).toBe(200)
  })

  test('is not unlocked by a replay of an earlier event', async () => {
    const enabled = await sign({ ...enable(), claims: { iat: seconds() - 5 } })
    expect((await push(enabled)).status).toBe(202)
    expect((await push(await sign(disable()))).status).toBe(202)
    expect((await push(enabled)).status).toBe(202)
    expect((await ask(later)).code).toBe(403)
  })
})

test('a flood of forged events costs no user a session, and none is refused because of it', async () => {
  const forged = await sign({ subject: subjectOf('zoe') }, foreign)
  await Promise.all(Array.from({ length: 200 }, () => push(forged)))
  expect((await ask({ sub: 'zoe' })).code).toBe(200)
  const event = await sign({ subject: subjectOf('zoe') })
  await expect.poll(async () => (await push(event)).status, POLLING).toBe(202)
  expect((await ask({ sub: 'zoe' })).code).toBe(401)
})

test('a key that the transmitter has taken into use is fetched', async () => {
  const next = await createSigningKey('t-2')
  transmitter.keys = [next.publicJwk]
  const event = await sign({ subject: subjectOf('kim') }, next)
  await expect
    .poll(async () => (await push(event)).status, { timeout: 15_000, interval: 500 })
    .toBe(202)
  expect((await ask({ sub: 'kim' })).code).toBe(401)
})

test('no secret was logged', async () => {
  attack.keepSecret(AUTHORIZATION)
  await attack.expectNoSecretLeaked()
  expect(attack.gatehouse.log.length).toBeGreaterThan(0)
})
