/** OpenID Connect Back-Channel Logout 1.0 section 2.6. */
import { afterAll, beforeAll, expect, test } from 'vitest'

import {
  configuration,
  createSigningKey,
  issuerConfiguration,
  refusalOf,
  signToken,
  startIssuer,
  type SigningKey,
  type TestIssuer,
} from './issuer.ts'
import { startOidc, type TestOidc } from './oidc-sign-in.ts'

const EVENTS = { 'http://schemas.openid.net/event/backchannel-logout': {} }

let key: SigningKey
let issuer: TestIssuer
let oidc: TestOidc

beforeAll(async () => {
  key = await createSigningKey('first')
  issuer = await startIssuer([key.publicJwk])
  const audiences = ['kubernetes', 'pages']
  oidc = startOidc(configuration(issuerConfiguration(issuer, { audiences })), {})
})

afterAll(async () => {
  oidc.close()
  await issuer.close()
})

const forPages = () => ['pages']

const logoutToken = (claims: Record<string, unknown> = {}, by = key): Promise<string> =>
  signToken(issuer, by, { claims: { aud: 'pages', events: EVENTS, sid: 's-1', ...claims } })

test.for([
  ['a session', {}, { subject: 'ada', session: 's-1' }],
  ['a session without its user', { sub: undefined }, { subject: undefined, session: 's-1' }],
  ['all sessions of a user', { sid: undefined }, { subject: 'ada', session: undefined }],
  ['a session, without exp', { exp: undefined }, { subject: 'ada', session: 's-1' }],
] as const)('accepts a token that ends %s', async ([, claims, expected]) => {
  expect(await oidc.verifyLogoutToken(await logoutToken(claims), forPages)).toEqual({
    issuer: issuer.url,
    issuedAt: expect.any(Number) as number,
    tokenID: undefined,
    ...expected,
  })
})

test('is not called invalid while there are no keys to verify it: the issuer may send it again', async () => {
  const down = await startIssuer([key.publicJwk])
  await down.close()
  const early = startOidc(configuration(issuerConfiguration(down, { audiences: ['pages'] })), {})
  try {
    const token = await signToken(down, key, { claims: { aud: 'pages', events: EVENTS } })
    await expect(early.verifyLogoutToken(token, forPages)).rejects.toMatchObject({
      ...{ code: 503, message: 'the keys of the issuer are not available' },
      headers: { 'Retry-After': '5' },
    })
  } finally {
    early.close()
  }
})

const now = Math.floor(Date.now() / 1_000)

test.for([
  ['for another client', { aud: 'kubernetes' }, 'the token is for another audience'],
  ['without its event', { events: undefined }, 'not a logout token'],
  ['with another event', { events: { 'https://other.example': {} } }, 'not a logout token'],
  [
    'with an event of no object',
    { events: { ...EVENTS, [Object.keys(EVENTS)[0] ?? '']: 1 } },
    'not a',
  ],
  ['with a nonce, as an ID token', { nonce: 'x' }, 'has a nonce'],
  ['that names nobody', { sub: undefined, sid: undefined }, 'names neither'],
  ['whose session is not a string', { sid: ['s-1'] }, 'the claim sid of the logout token'],
  ['that has expired', { exp: now - 1 }, 'has expired'],
  ['without a time', { iat: undefined }, 'has no time'],
  ['that is old, without exp', { exp: undefined, iat: now - 180 }, 'has expired'],
  ['of another issuer', { iss: 'https://other.example' }, 'not one of the configured issuers'],
] as const)('refuses a token %s', async ([, claims, problem]) => {
  const token = await logoutToken(claims)
  expect(await refusalOf(() => oidc.verifyLogoutToken(token, forPages))).toContain(problem)
})

test('refuses a token that another key has signed', async () => {
  const token = await logoutToken({}, await createSigningKey('first'))
  expect(await refusalOf(() => oidc.verifyLogoutToken(token, forPages))).toBe(
    'the signature is invalid',
  )
})
