/**
 * Logout tokens: who may end the sign-ins of others, and for how long. Their sender is not authenticated, so
 * that everything depends on the token.
 */
import { createHmac } from 'node:crypto'
import { text } from 'node:stream/consumers'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { createSigningKey, signToken, type SigningKey } from '../authentication/oidc/issuer.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import { certificateRequest, newKeys } from '../support/certificate-request.ts'
import { createClient } from '../support/client.ts'
import { openWatch } from '../support/reloading.ts'

const PATH = '/gatehouse/backchannel-logout'
const PODS = '/api/v1/namespaces/d/pods'
const EVENTS = { 'http://schemas.openid.net/event/backchannel-logout': {} }
const seconds = (): number => Math.floor(Date.now() / 1_000)

let attack: Attack
let foreign: SigningKey
let ids = 0

beforeAll(async () => {
  foreign = await createSigningKey('first')
  attack = await startAttack({ issuerOptions: { backchannelLogout: true }, issuing: {} })
})

afterAll(() => attack.close())

type Claims = Readonly<Record<string, unknown>>

/** A logout token for all sessions of a user. */
function logoutToken(
  claims: Claims = {},
  header: Claims = {},
  key: SigningKey = attack.gatehouse.signingKey,
): Promise<string> {
  const own = { jti: `logout-${++ids}`, events: EVENTS, exp: seconds() + 120 }
  return signToken(attack.gatehouse.issuer, key, {
    claims: { ...own, ...claims },
    header: { typ: 'logout+jwt', ...header },
  })
}

const formOf = (token: string): string => new URLSearchParams({ logout_token: token }).toString()

async function send(body: string, headers: Record<string, string> = {}): Promise<number> {
  const { url, ca } = attack.gatehouse
  const client = createClient({ url, ca })
  try {
    const type = { 'content-type': 'application/x-www-form-urlencoded' }
    return (await client.ask(PATH, { method: 'POST', body, headers: { ...type, ...headers } }))
      .status
  } finally {
    await client.close()
  }
}

/** What the API says to a token that was issued some seconds ago. */
async function ask(claims: Claims = {}, path = PODS): Promise<{ code: number; message: string }> {
  const { url, ca } = attack.gatehouse
  const token = await attack.gatehouse.token({ iat: seconds() - 30, ...claims })
  const client = createClient({ url, ca, token })
  try {
    const { status, body } = await client.ask(path)
    const { message = '' } = JSON.parse(body) as { message?: string }
    return { code: status, message }
  } finally {
    await client.close()
  }
}

const ADA = { sub: 'ada' }

/** An unsigned token, or one whose signature anybody can make. */
function handmade(header: Claims, secret?: string): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = {
    ...{ iss: attack.gatehouse.issuer.url, aud: 'kubernetes', sub: 'ada', jti: `h-${++ids}` },
    ...{ iat: seconds(), exp: seconds() + 120, events: EVENTS },
  }
  const input = `${part(header)}.${part(claims)}`
  const signature =
    secret === undefined ? 'AA' : createHmac('sha256', secret).update(input).digest('base64url')
  return `${input}.${signature}`
}

const publicKey = (): string => JSON.stringify(attack.gatehouse.signingKey.publicJwk)

const INVALID: readonly (readonly [string, () => string | Promise<string>])[] = [
  ['signed by another key with the same key ID', () => logoutToken({}, {}, foreign)],
  ['without a signature', () => handmade({ alg: 'none', typ: 'logout+jwt' })],
  ['signed with the public key as a secret', () => handmade({ alg: 'HS256' }, publicKey())],
  ['of another issuer', () => logoutToken({ iss: 'https://other.example' })],
  ['for another client', () => logoutToken({ aud: 'dashboard' })],
  ['that is a security event', () => logoutToken({}, { typ: 'secevent+jwt' })],
  ['that is an access token', () => logoutToken({}, { typ: 'application/at+jwt' })],
  ['that is an ID token', () => logoutToken({ events: undefined }, { typ: 'JWT' })],
  ['that has a nonce', () => logoutToken({ nonce: 'n' })],
  ['that has expired', () => logoutToken({ iat: seconds() - 600, exp: seconds() - 1 })],
  ['from the future', () => logoutToken({ iat: seconds() + 600 })],
  ['whose time is no time', () => logoutToken({ iat: 1e300 })],
  ['whose time is a text', () => logoutToken({ iat: '2026-01-01' })],
  ['whose user is a list', () => logoutToken({ sub: ['ada'] })],
  ['whose session is an object', () => logoutToken({ sid: { a: 1 } })],
  ['that names nobody', () => logoutToken({ sub: undefined })],
  ['whose event is not an object', () => logoutToken({ events: { [Object.keys(EVENTS)[0]!]: 1 } })],
]

test.for(INVALID)('a token %s ends nothing', async ([, make]) => {
  const { value, events } = await attack.watching(async () => send(formOf(await make())))
  expect(value).toBe(400)
  const own = events.filter(({ requestURI }) => requestURI === PATH)
  expect(own).toMatchObject([{ responseStatus: { code: 400 } }])
  expect(await ask()).toMatchObject({ code: 200 })
})

const BODIES: readonly (readonly [string, () => string])[] = [
  ['a megabyte', () => `logout_token=${'x'.repeat(1_048_576)}`],
  ['no token', () => 'x=y'],
  ['two tokens', () => 'logout_token=a&logout_token=b'],
  ['nothing', () => ''],
  ['deep JSON as a token', () => formOf(`e30.${nested()}.AA`)],
]

test.for(BODIES)('%s ends nothing, and costs little', async ([, make]) => {
  expect(await send(make())).toBe(400)
  expect(await ask()).toMatchObject({ code: 200 })
})

function nested(): string {
  return Buffer.from('{"a":'.repeat(2_000) + '1' + '}'.repeat(2_000)).toString('base64url')
}

test('another content type, another method and another spelling of the path end nothing', async () => {
  const form = formOf(await logoutToken({ sub: 'otto' }))
  expect(await send(form, { 'content-type': 'application/json' })).toBe(400)
  expect((await ask(ADA, `${PATH}?logout_token=x`)).code).toBe(405)
  expect((await ask({ sub: 'otto' })).code).toBe(200)
})

test('a logout token and a security event are no credentials', async () => {
  const { url, ca } = attack.gatehouse
  for (const token of [
    await logoutToken(),
    await logoutToken({}, { typ: undefined }),
    await logoutToken({ events: undefined }, { typ: 'application/secevent+jwt' }),
  ]) {
    const client = createClient({ url, ca, token })
    expect((await client.ask(PODS)).status).toBe(401)
    await client.close()
  }
})

test('a token ends a session everywhere, at once, for good, and no other one', async () => {
  const own = { sub: 'eve', sid: 'session-1' }
  const { events } = await attack.watching(async () => {
    expect((await ask(own)).code).toBe(200)
    expect(await send(formOf(await logoutToken(own)))).toBe(200)
    // Renewed, although the session has ended.
    for (const iat of [seconds() - 30, seconds() + 30]) {
      expect(await ask({ ...own, iat })).toEqual({
        code: 401,
        message: `your session at "${attack.gatehouse.issuer.url}" has ended (back-channel logout): sign in again`,
      })
    }
    expect((await ask({ ...own, sid: 'session-2' })).code).toBe(200)
    expect((await ask({ sub: 'grace', sid: 'session-3' })).code).toBe(200)
    expect((await ask(own, '/gatehouse/api/whoami')).code).toBe(401)
  })
  const about = events.filter(({ annotations }) => 'gatehouse/revocation' in annotations)
  const [logout, refused] = about
  expect(logout).toMatchObject({
    user: { username: attack.gatehouse.issuer.url },
    annotations: {
      'gatehouse/method': 'backchannel-logout',
      'gatehouse/revocation': `ended: session "session-1" of user "eve" at "${attack.gatehouse.issuer.url}" (back-channel logout)`,
    },
  })
  expect(refused).toMatchObject({
    user: { username: 'oidc:eve' },
    responseStatus: { code: 401, reason: 'Unauthorized' },
    annotations: {
      'gatehouse/revocation': `your session at "${attack.gatehouse.issuer.url}" has ended (back-channel logout)`,
    },
  })
})

test('all sessions of a user end, streams and certificates included, and a new sign-in works at once', async () => {
  const signIn = { groups: ['dev'], iat: seconds() - 30, auth_time: seconds() - 30 }
  const certificate = await issue(signIn)
  expect(await askWith(certificate)).toBe(200)
  const watch = text(await openWatch(attack))
  expect(await send(formOf(await logoutToken({ iat: seconds() + 1 })))).toBe(200)
  expect(JSON.parse(await watch)).toMatchObject({
    object: { code: 401, message: expect.stringContaining('sign in again') as string },
  })
  expect((await ask()).code).toBe(401)
  expect(await askWith(certificate)).toBe(401)
  expect((await ask({ iat: seconds() + 2 })).code).toBe(200)
  const [event] = await attack.gatehouse.eventsWhere(
    ({ annotations }) => annotations['gatehouse/abortedBy'] === 'gatehouse',
  )
  expect(event?.annotations['gatehouse/revocation']).toContain('has ended (back-channel logout')
})

test('a replay ends nothing that began later, and is refused', async () => {
  const form = formOf(await logoutToken({ sub: 'mia' }))
  expect([await send(form), await send(form)]).toEqual([200, 400])
  expect((await ask({ sub: 'mia', iat: seconds() + 2 })).code).toBe(200)
})

test('a flood of forged tokens costs no user a session, and none is refused because of it', async () => {
  const forged = formOf(await logoutToken({ sub: 'zoe' }, {}, foreign))
  await Promise.all(Array.from({ length: 200 }, () => send(forged)))
  expect((await ask({ sub: 'zoe' })).code).toBe(200)
  const form = formOf(await logoutToken({ sub: 'zoe' }))
  await expect.poll(() => send(form), { timeout: 10_000 }).toBe(200)
  expect((await ask({ sub: 'zoe' })).code).toBe(401)
})

test('a token of the issuer without its time is refused, since nobody could tell whether it has ended', async () => {
  expect((await ask({ iat: undefined })).message).toContain('when it was issued (iat)')
})

interface Issued {
  readonly certificatePem: string
  readonly keyPem: string
}

async function issue(claims: Claims): Promise<Issued> {
  const { url, ca } = attack.gatehouse
  const token = await attack.gatehouse.token(claims)
  const client = createClient({ url, ca, token })
  const keys = newKeys()
  const order = {
    ...{ apiVersion: 'gatehouse/v1', kind: 'CertificateOrder' },
    request: certificateRequest({ keys }),
  }
  const { body } = await client.ask('/gatehouse/api/v1/certificates', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(order),
  })
  await client.close()
  const { certificate } = JSON.parse(body) as { certificate: string }
  const keyPem = keys.privateKey.export({ type: 'pkcs8', format: 'pem' })
  return { certificatePem: certificate, keyPem }
}

async function askWith(certificate: Issued): Promise<number> {
  const { url, ca } = attack.gatehouse
  const client = createClient({ url, ca, certificate })
  try {
    return (await client.ask(PODS)).status
  } finally {
    await client.close()
  }
}
