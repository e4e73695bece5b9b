/** Earlier sign-ins under what is configured, and published, now. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import type { Authentication } from '../../../src/authentication/authenticator.ts'
import type { Issuer } from '../../../src/authentication/oidc/authentication-config.ts'
import type { ClientConnection } from '../../../src/http/exchange.ts'
import { createLog } from '../../../src/log.ts'
import {
  configuration,
  createSigningKey,
  issuerConfiguration,
  signToken,
  startIssuer,
  type SigningKey,
  type TestIssuer,
} from './issuer.ts'
import { startOidc, type TestOidc } from './oidc-sign-in.ts'

const NO_CONNECTION: ClientConnection = {
  remoteAddress: '127.0.0.1',
  remotePort: 1,
  peerCertificate: undefined,
  retire: () => undefined,
}

let key: SigningKey
let nextKey: SigningKey
let issuer: TestIssuer
let now: number
let dropped: number
let oidc: TestOidc
/** ada's, good for an hour. */
let signedIn: Authentication

beforeAll(async () => {
  key = await createSigningKey('one')
  nextKey = await createSigningKey('two')
  issuer = await startIssuer([])
})
afterAll(() => issuer.close())

beforeEach(async () => {
  issuer.keys = [key.publicJwk]
  now = Date.now()
  dropped = 0
  oidc = startOidc(configuration(issuerConfiguration(issuer)), {
    log: createLog({ level: 'silent' }),
    timing: { clock: () => now },
    onRevoked: () => dropped++,
  })
  const claims = { hd: 'example.com', groups: ['dev'] }
  signedIn = await oidc.authenticate(await signToken(issuer, key, { claims, now }))
})
afterEach(() => {
  oidc.close()
})

const recheck = (authentication: Authentication): string | undefined =>
  oidc.recheck(authentication, NO_CONNECTION)
const recheckWith = (overrides: Partial<Issuer>): string | undefined => {
  oidc.update(configuration(issuerConfiguration(issuer, overrides)))
  return recheck(signedIn)
}
const requiring = (requiredValue: string) => ({
  rules: { requiredClaims: [{ claim: 'hd', requiredValue }], claimRules: [], userRules: [] },
})
const mappings = (overrides: Partial<Issuer['claimMappings']>) => ({
  claimMappings: { ...issuerConfiguration(issuer).claimMappings, ...overrides },
})

describe('an earlier sign-in is still accepted', () => {
  test('while nothing changes, after its token’s expiry too', () => {
    expect(recheck(signedIn)).toBeUndefined()
    now += 7_200_000
    expect(recheck(signedIn)).toBeUndefined()
  })

  test('also as the user that it became when the identity was guarded', () => {
    const groups = [...signedIn.user.groups, 'system:authenticated']
    expect(recheck({ ...signedIn, user: { ...signedIn.user, groups } })).toBeUndefined()
  })

  test.for<[string, () => Partial<Issuer>]>([
    ['another audience beside its own', () => ({ audiences: ['other', 'kubernetes'] })],
    ['a required claim that it has', () => requiring('example.com')],
  ])('under %s', ([, overrides]) => {
    expect(recheckWith(overrides())).toBeUndefined()
  })

  test('while the issuer adds a key', async () => {
    issuer.keys = [key.publicJwk, nextKey.publicJwk]
    await oidc.authenticate(await signToken(issuer, nextKey, { now }))
    expect({ dropped, why: recheck(signedIn) }).toEqual({ dropped: 0, why: undefined })
  })
})

describe('a sign-in of before is no longer accepted', () => {
  test('when its issuer is gone', () => {
    oidc.update(configuration())
    expect(recheck(signedIn)).toBe('the issuer of the token is no longer configured')
  })

  test.for<[string, () => Partial<Issuer>, RegExp]>([
    ['its audience is gone', () => ({ audiences: ['other'] }), /for another audience/],
    [
      'a claim is required that it lacks',
      () => requiring('example.org'),
      /claim hd does not have the value/,
    ],
    [
      'another prefix makes it another user',
      () => mappings({ username: { claim: 'sub', prefix: 'corp:' } }),
      /now maps to another user/,
    ],
    [
      'it would lose its groups, by which rules may deny',
      () => mappings({ groups: undefined }),
      /now maps to another user/,
    ],
    [
      'its user’s claim is another, which it lacks',
      () => mappings({ username: { claim: 'email', prefix: '' } }),
      /username claim email is missing/,
    ],
    [
      'the keys of its issuer come from elsewhere',
      () => ({ discoveryUrl: `${issuer.url}/elsewhere` }),
      /no longer known as its issuer's/,
    ],
  ])('when %s', ([, overrides, why]) => {
    expect(recheckWith(overrides())).toMatch(why)
  })

  test('when its issuer takes back the key, which is told', async () => {
    issuer.keys = [nextKey.publicJwk]
    await oidc.authenticate(await signToken(issuer, nextKey, { now }))
    await expect.poll(() => dropped).toBeGreaterThan(0)
    expect(dropped).toBe(1)
    expect(recheck(signedIn)).toMatch(/no longer known as its issuer's/)
  })

  test('when it was none by token', () => {
    const { user } = signedIn
    expect(recheck({ user, method: 'x509', annotations: {} })).toBe(
      'the user did not authenticate with a token',
    )
  })
})
