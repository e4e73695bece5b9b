import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import type {
  AuthenticationConfiguration,
  Issuer,
} from '../../../src/authentication/oidc/authentication-config.ts'
import { createLog } from '../../../src/log.ts'
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
import { startOidc, type TestOidc, type TestOidcOptions } from './oidc-sign-in.ts'

const log = createLog({ level: 'silent' })
let key: SigningKey
let otherKey: SigningKey
let issuer: TestIssuer
let otherIssuer: TestIssuer
let authenticator: TestOidc | undefined

beforeAll(async () => {
  key = await createSigningKey('one')
  otherKey = await createSigningKey('other', 'RS256')
  issuer = await startIssuer([key.publicJwk])
  otherIssuer = await startIssuer([otherKey.publicJwk])
})
afterEach(() => {
  authenticator?.close()
  authenticator = undefined
})
afterAll(async () => {
  await issuer.close()
  await otherIssuer.close()
})

function start(config: AuthenticationConfiguration, dependencies: TestOidcOptions = {}): TestOidc {
  authenticator = startOidc(config, { log, ...dependencies })
  return authenticator
}

/** Authenticates a token of the issuer with these claims under this configuration. */
async function userOf(claims: Record<string, unknown>, overrides: Partial<Issuer> = {}) {
  const oidc = start(configuration(issuerConfiguration(issuer, overrides)))
  return (await oidc.authenticate(await signToken(issuer, key, { claims }))).user
}

const NOW = 1_800_000_000_000
const seconds = NOW / 1000

describe('a valid token', () => {
  test('authenticates the user that its claims name', async () => {
    const oidc = start(configuration(issuerConfiguration(issuer)))
    const token = await signToken(issuer, key, { claims: { groups: ['dev', 'ops'], jti: 'j-1' } })
    expect(await oidc.authenticate(token)).toEqual({
      user: {
        username: 'oidc:ada',
        uid: '',
        groups: ['oidc:dev', 'oidc:ops'],
        extra: { 'authentication.kubernetes.io/credential-id': ['JTI=j-1'] },
      },
      method: 'oidc',
      annotations: { 'authentication.gatehouse/issuer': issuer.url },
      expiresAt: expect.any(Number) as number,
      tokenID: 'j-1',
      origin: {
        ...{ issuer: issuer.url, subject: 'ada', session: undefined },
        issuedAt: expect.any(Number) as number,
        credentialIssuedAt: expect.any(Number) as number,
      },
    })
  })

  test('is accepted with any typ and nonce, as in kube-apiserver', async () => {
    const oidc = start(configuration(issuerConfiguration(issuer)))
    const token = await signToken(issuer, key, {
      claims: { azp: 'kubernetes', iat: Date.now() / 1000 + 30, nonce: 'n' },
      header: { typ: 'at+jwt' },
    })
    expect(await oidc.authenticate(token)).toMatchObject({ user: { username: 'oidc:ada' } })
  })

  test('is verified by the configuration of the issuer that it names', async () => {
    const oidc = start(
      configuration(
        issuerConfiguration(issuer),
        issuerConfiguration(otherIssuer, {
          claimMappings: {
            username: { claim: 'sub', prefix: 'other:' },
            groups: undefined,
            uid: { claim: 'sub' },
            extra: [],
          },
        }),
      ),
    )
    const claims = { sub: 'ada', groups: ['dev'] }
    const first = await oidc.authenticate(await signToken(issuer, key, { claims }))
    const second = await oidc.authenticate(await signToken(otherIssuer, otherKey, { claims }))
    expect(first.user).toMatchObject({ username: 'oidc:ada', uid: '', groups: ['oidc:dev'] })
    expect(second.user).toMatchObject({ username: 'other:ada', uid: 'ada', groups: [] })
    expect(second.annotations).toEqual({ 'authentication.gatehouse/issuer': otherIssuer.url })
  })

  test.for(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'])(
    'may be signed with %s',
    async (algorithm) => {
      const signingKey = await createSigningKey(
        'any',
        algorithm,
        algorithm.startsWith('ES') ? undefined : otherKey.privateKey,
      )
      const own = await startIssuer([signingKey.publicJwk])
      const oidc = start(configuration(issuerConfiguration(own)))
      expect(await oidc.authenticate(await signToken(own, signingKey))).toMatchObject({
        user: { username: 'oidc:ada' },
      })
      await own.close()
    },
  )
})

describe('the registered claims', () => {
  const accepted = /^not refused$/
  test.for<[string, Record<string, unknown>, RegExp]>([
    ['one of several audiences', { aud: ['x', 'kubernetes'] }, accepted],
    ['another audience', { aud: 'kubernetes2' }, /audience/],
    ['an audience in a longer list', { aud: ['x', 'y'] }, /audience/],
    ['no audience', { aud: undefined }, /audience/],
    ['an empty list of audiences', { aud: [] }, /audience/],
    ['audiences that are not all strings', { aud: ['kubernetes', 1] }, /audience/],
    ['another issuer', { iss: 'https://other.example' }, /issuer/],
    ['the issuer with a slash', { iss: 'SLASH' }, /issuer/],
    ['no issuer', { iss: undefined }, /issuer/],
    ['an issuer in a list', { iss: ['x'] }, /issuer/],
    ['no expiry', { exp: undefined }, /exp is missing/],
    ['expiry now', { exp: seconds }, /expired/],
    ['expiry a second ago', { exp: seconds - 1 }, /expired/],
    ['expiry in half a second', { exp: seconds + 0.5 }, accepted],
    ['expiry as a string', { exp: String(seconds + 60) }, /not a number/],
    ['expiry null', { exp: null }, /not a number/],
    ['not before now', { nbf: seconds }, accepted],
    ['not before a minute from now', { nbf: seconds + 60 }, accepted],
    ['not before a minute and a second from now', { nbf: seconds + 61 }, /not valid yet/],
    ['not before as a string', { nbf: '0' }, /not a number/],
    ['the names in another case', { aud: undefined, AUD: 'kubernetes' }, /audience/],
  ])('with %s, from the claims %j, give %s', async ([, claims, expected]) => {
    const oidc = start(configuration(issuerConfiguration(issuer)), { timing: { clock: () => NOW } })
    const sent = claims['iss'] === 'SLASH' ? { ...claims, iss: `${issuer.url}/` } : claims
    const token = await signToken(issuer, key, { claims: sent, now: NOW })
    expect(await refusalOf(() => oidc.authenticate(token))).toMatch(expected)
  })
})

describe('required claims', () => {
  const rules = {
    requiredClaims: [
      { claim: 'hd', requiredValue: 'example.com' },
      { claim: 'empty', requiredValue: '' },
    ],
    claimRules: [],
    userRules: [],
  }

  test.for(['', null])('accept a token that has them all, one of them %j', async (empty) => {
    const user = await userOf({ hd: 'example.com', empty }, { rules })
    expect(user.username).toBe('oidc:ada')
  })

  test.for([
    ['missing', { empty: '' }],
    ['different', { hd: 'example.org', empty: '' }],
    ['in a list', { hd: ['example.com'], empty: '' }],
    ['missing where the empty string is required', { hd: 'example.com' }],
    ['null where a value is required', { hd: null, empty: '' }],
  ] as const)('refuse a token in which one is %s', async ([, claims]) => {
    expect(await refusalOf(() => userOf({ ...claims }, { rules }))).toMatch(
      /claimValidationRules require/,
    )
  })
})

describe('readiness', () => {
  test('names each issuer whose keys have never been loaded, with its problem', async () => {
    const gone = await startIssuer([])
    await gone.close()
    const oidc = start(configuration(issuerConfiguration(gone), issuerConfiguration(issuer)))
    expect(oidc.readiness()).toEqual([
      {
        name: `jwks ${gone.url}`,
        problem: 'its keys are not loaded yet',
        wasTried: false,
        way: gone.url,
      },
      {
        name: `jwks ${issuer.url}`,
        problem: 'its keys are not loaded yet',
        wasTried: false,
        way: issuer.url,
      },
    ])
    await expect
      .poll(() => oidc.readiness())
      .toEqual([
        {
          name: `jwks ${gone.url}`,
          problem: expect.stringContaining('ECONNREFUSED') as string,
          wasTried: true,
          way: gone.url,
        },
        { name: `jwks ${issuer.url}`, problem: undefined, wasTried: true, way: issuer.url },
      ])
    const token = await signToken(gone, key)
    expect(await refusalOf(() => oidc.authenticate(token))).toMatch(
      /the issuer's keys have not been loaded yet/,
    )
  })
})

describe('verified tokens', () => {
  test('are authenticated without a promise the second time, with the same object', async () => {
    const oidc = start(configuration(issuerConfiguration(issuer)))
    const token = await signToken(issuer, key)
    const first = oidc.authenticate(token)
    expect(first).toBeInstanceOf(Promise)
    expect(oidc.authenticate(token)).toBeInstanceOf(Promise)
    expect(oidc.authenticate(token)).toBeInstanceOf(Promise)
    const verified = await first
    await oidc.authenticate(token)
    const again = oidc.authenticate(token)
    expect(again).not.toBeInstanceOf(Promise)
    expect(again).toMatchObject(verified)
    expect(oidc.authenticate(token)).toBe(again)
  })

  test('are refused from their expiry on', async () => {
    let now = NOW
    const oidc = start(configuration(issuerConfiguration(issuer)), { timing: { clock: () => now } })
    const token = await signToken(issuer, key, { now, claims: { exp: seconds + 10 } })
    await oidc.authenticate(token)
    now += 9_999
    expect(oidc.authenticate(token)).not.toBeInstanceOf(Promise)
    now += 1
    expect(await refusalOf(() => oidc.authenticate(token))).toMatch(/expired/)
  })

  test('do not include a refused token', async () => {
    const oidc = start(configuration(issuerConfiguration(issuer)))
    const token = await signToken(issuer, key, { claims: { aud: 'other' } })
    expect(await refusalOf(() => oidc.authenticate(token))).toMatch(/audience/)
    expect(await refusalOf(() => oidc.authenticate(token))).toMatch(/audience/)
  })
})

describe('an update of the configuration', () => {
  const audienceOther = () => issuerConfiguration(issuer, { audiences: ['other'] })

  test('rechecks tokens that were accepted before, and keeps the keys', async () => {
    const oidc = start(configuration(issuerConfiguration(issuer)))
    const token = await signToken(issuer, key)
    await oidc.authenticate(token)
    const fetches = issuer.keySetFetches
    oidc.update(configuration(audienceOther()))
    expect(await refusalOf(() => oidc.authenticate(token))).toMatch(/audience/)
    expect(oidc.readiness()).toEqual([
      { name: `jwks ${issuer.url}`, problem: undefined, wasTried: true, way: issuer.url },
    ])
    expect(issuer.keySetFetches).toBe(fetches)
  })

  test('applies to a token whose verification began before', async () => {
    const oidc = start(configuration(issuerConfiguration(issuer)))
    await expect.poll(() => oidc.readiness()[0]?.problem).toBeUndefined()
    const token = await signToken(issuer, key)
    const inProgress = oidc.authenticate(token)
    oidc.update(configuration(audienceOther()))
    expect(await refusalOf(() => inProgress)).toMatch(/audience/)
    expect(await refusalOf(() => oidc.authenticate(token))).toMatch(/audience/)
  })

  test('adds and removes issuers', async () => {
    const oidc = start(configuration(issuerConfiguration(issuer)))
    const [token, otherToken] = [
      await signToken(issuer, key),
      await signToken(otherIssuer, otherKey),
    ]
    await oidc.authenticate(token)
    expect(await refusalOf(() => oidc.authenticate(otherToken))).toMatch(
      /not one of the configured issuers/,
    )
    oidc.update(configuration(issuerConfiguration(otherIssuer)))
    expect(await refusalOf(() => oidc.authenticate(token))).toMatch(
      /not one of the configured issuers/,
    )
    expect(await oidc.authenticate(otherToken)).toMatchObject({ user: { username: 'oidc:ada' } })
    expect(oidc.readiness()).toEqual([
      { name: `jwks ${otherIssuer.url}`, problem: undefined, wasTried: true, way: otherIssuer.url },
    ])
  })

  test('fetches the keys again if their location changes', async () => {
    const oidc = start(configuration(issuerConfiguration(issuer)))
    await oidc.authenticate(await signToken(issuer, key))
    oidc.update(
      configuration(issuerConfiguration(issuer, { discoveryUrl: `${issuer.url}/elsewhere` })),
    )
    expect(oidc.readiness()[0]?.problem).toBe('its keys are not loaded yet')
  })
})
