import { describe, expect, test } from 'vitest'

import type { Issuer } from '../../src/authentication/oidc/authentication-config.ts'
import { compileFor } from '../../src/authentication/oidc/expressions.ts'
import { signIn } from '../../src/config/schema/sign-in.ts'
import { discoveryDocument } from '../../src/sign-in/discovery-document.ts'

const issuer = (overrides: Partial<Issuer> = {}): Issuer => ({
  url: 'https://login.example.com/realms/Company A',
  discoveryUrl: undefined,
  certificateAuthority: undefined,
  audiences: ['kubernetes'],
  rules: { requiredClaims: [], claimRules: [], userRules: [] },
  claimMappings: {
    username: { claim: 'email', prefix: '' },
    groups: { claim: 'groups', prefix: '', isRequired: false },
    uid: { claim: 'sub' },
    extra: [],
  },
  sharesNames: false,
  ...overrides,
})

function documentOf(options: object, issuers: readonly Issuer[], servingCA?: string) {
  return discoveryDocument({
    options: signIn.parse(options),
    authentication: { issuers },
    issuedCertificates: undefined,
    servingCA,
  })
}

describe('without signIn.methods', () => {
  test('a method is derived from an issuer with one audience', () => {
    expect(documentOf({}, [issuer()])).toEqual({
      apiVersion: 'gatehouse/v1',
      kind: 'SignInDiscovery',
      displayName: 'Gatehouse',
      clusters: [{}],
      methods: [
        {
          name: 'company-20a',
          type: 'oidc',
          issuer: 'https://login.example.com/realms/Company A',
          clientID: 'kubernetes',
          scopes: ['openid'],
          optionalScopes: ['offline_access', 'email', 'groups'],
          extraParameters: {},
          redirectURIs: ['http://localhost:8000', 'http://localhost:18000'],
          deviceAuthorization: false,
        },
      ],
    })
  })

  test('the scopes are also those of the claims that expressions read', () => {
    const expression = compileFor('claims', 'claims.?groups.orValue(claims["preferred_username"])')
    const { methods } = documentOf({}, [
      issuer({
        claimMappings: {
          username: { claim: 'sub', prefix: '' },
          groups: { expression, prefix: '', isRequired: false },
          uid: undefined,
          extra: [],
        },
      }),
    ])
    expect(methods[0]).toMatchObject({ optionalScopes: ['offline_access', 'profile', 'groups'] })
  })

  test('the scopes are also those of the claim by which groups are looked up', () => {
    const options = {
      googleWorkspace: {
        ...{ serviceAccountKeyFile: 'key.json', adminUser: 'admin@example.com' },
        endpoint: 'https://admin.googleapis.com',
      },
      when: 'missing' as const,
      onFailure: 'refuse' as const,
      ...{ cacheLifetime: 1, timeout: 1 },
    }
    const groupSource = {
      ...{ options, certificateAuthority: undefined, memberships: undefined },
      ...{ clientSecret: undefined, serviceAccountKey: undefined, bindPassword: undefined },
    }
    const { methods } = documentOf({}, [
      issuer({
        access: {
          ...{ keys: undefined, certificateAuthority: undefined, proxy: undefined, keyLifetime: 1 },
          groupSource,
        },
        claimMappings: {
          username: { claim: 'sub', prefix: '' },
          groups: { claim: 'teams', prefix: '', isRequired: false },
          uid: undefined,
          extra: [],
        },
      }),
    ])
    expect(methods).toMatchObject([{ optionalScopes: ['offline_access', 'email'] }])
  })

  test('an issuer with several audiences is left out: which one is the client is not known', () => {
    const { methods } = documentOf({}, [
      issuer({ audiences: ['a', 'b'] }),
      issuer({ url: 'https://other.example.com' }),
    ])
    expect(methods.map(({ name }) => name)).toEqual(['other-example-com'])
  })

  test('two methods never have the same name', () => {
    const { methods } = documentOf({}, [
      issuer({ url: 'https://a.example.com/dex' }),
      issuer({ url: 'https://b.example.com/dex' }),
    ])
    expect(methods.map(({ name }) => name)).toEqual(['dex', 'dex-2'])
  })

  test('the CA and the discovery URL of an issuer are published with it', () => {
    const { methods } = documentOf({}, [
      issuer({ certificateAuthority: 'PEM', discoveryUrl: 'https://x.example.com/d' }),
    ])
    expect(methods[0]).toMatchObject({
      certificateAuthority: 'PEM',
      discoveryURL: 'https://x.example.com/d',
    })
  })
})

describe('with signIn.methods', () => {
  const method = { name: 'sso', issuer: issuer().url }

  test('the listed ones are published, and fields that are left out are derived', () => {
    const { methods } = documentOf({ methods: [method] }, [issuer(), issuer({ url: 'https://b' })])
    expect(methods).toHaveLength(1)
    expect(methods[0]).toMatchObject({ name: 'sso', clientID: 'kubernetes', scopes: ['openid'] })
  })

  test('scopes that are listed are requested as they are, after openid', () => {
    const { methods } = documentOf({ methods: [{ ...method, scopes: ['openid', 'x'] }] }, [
      issuer(),
    ])
    expect(methods[0]).toMatchObject({ scopes: ['openid', 'x'], optionalScopes: [] })
  })

  test.for([
    ['whose issuer was removed', { issuer: 'https://gone.example.com' }],
    ['for a client that is not an audience', { clientID: 'other' }],
  ] as const)('a method %s is not published', ([, change]) => {
    expect(documentOf({ methods: [{ ...method, ...change }] }, [issuer()]).methods).toEqual([])
  })

  test.for([
    'https://localhost:8000',
    'http://example.com:8000',
    'http://localhost.example.com',
    'http://localhost:8000/?a=b',
    'http://localhost:8000/#x',
    'http://user@localhost:8000',
    'ftp://localhost',
    'localhost:8000',
  ])('a redirect URI that is not on loopback is refused: %s', (uri) => {
    const methods = [{ ...method, redirectURIs: [uri] }]
    expect(signIn.safeParse({ methods }).success).toBe(false)
  })

  test.for(['state', 'redirect_uri', 'code_challenge', 'request'])(
    'an extra parameter must not replace one of the protocol: %s',
    (name) => {
      const methods = [{ ...method, extraParameters: [{ name, value: 'x' }] }]
      expect(signIn.safeParse({ methods }).success).toBe(false)
    },
  )
})
