import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { createAuthority } from '../../../certs-dev/pki.ts'
import { loadAuthenticationConfiguration } from '../../../src/authentication/oidc/authentication-config.ts'
import { ConfigError } from '../../../src/config/problem.ts'

let folder: string
let file: string
let certificate: string
let privateKey: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-authentication-'))
  file = join(folder, 'authentication.yaml')
  const authority = await createAuthority({ commonName: 'issuers' })
  certificate = authority.certificatePem
  privateKey = authority.keyPem
})
afterAll(() => {
  rmSync(folder, { recursive: true })
})

const HEAD = 'apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n'

interface JwtParts {
  url?: unknown
  issuer?: object
  username?: unknown
  mappings?: object
  rest?: object
}

function jwt({ url = 'https://a.example', issuer, username, mappings, rest }: JwtParts = {}) {
  return {
    issuer: { url, audiences: ['kubernetes'], ...issuer },
    claimMappings: { username: username ?? { claim: 'sub', prefix: '' }, ...mappings },
    ...rest,
  }
}

/** JSON is YAML. */
function load(text: string) {
  writeFileSync(file, text)
  return loadAuthenticationConfiguration(file)
}

const loadIssuers = (...issuers: object[]) => load(`${HEAD}jwt: ${JSON.stringify(issuers)}\n`)

function problemsOf(action: () => unknown) {
  try {
    action()
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

describe('a valid file', () => {
  test('is read completely', () => {
    const { issuers } = loadIssuers(
      jwt({
        issuer: {
          audiences: ['a', 'b'],
          audienceMatchPolicy: 'MatchAny',
          discoveryURL: 'https://b.example/discovery',
          certificateAuthority: certificate + certificate,
        },
        mappings: { groups: { claim: 'roles', prefix: 'g:' }, uid: { claim: 'sub' }, extra: [] },
        rest: {
          claimValidationRules: [{ claim: 'hd', requiredValue: 'x' }, { claim: 'empty' }],
          userValidationRules: [],
        },
      }),
      jwt({ url: 'https://b.example/' }),
    )
    expect(issuers).toEqual([
      {
        url: 'https://a.example',
        discoveryUrl: 'https://b.example/discovery',
        certificateAuthority: certificate + certificate,
        audiences: ['a', 'b'],
        rules: {
          requiredClaims: [
            { claim: 'hd', requiredValue: 'x' },
            { claim: 'empty', requiredValue: '' },
          ],
          claimRules: [],
          userRules: [],
        },
        claimMappings: {
          username: { claim: 'sub', prefix: '' },
          groups: { claim: 'roles', prefix: 'g:', isRequired: false },
          uid: { claim: 'sub' },
          extra: [],
        },
        sharesNames: false,
      },
      {
        url: 'https://b.example/',
        discoveryUrl: undefined,
        certificateAuthority: undefined,
        audiences: ['kubernetes'],
        rules: { requiredClaims: [], claimRules: [], userRules: [] },
        claimMappings: {
          username: { claim: 'sub', prefix: '' },
          groups: undefined,
          uid: undefined,
          extra: [],
        },
        sharesNames: false,
      },
    ])
  })

  test.for([
    ['no issuer', HEAD],
    ['an empty list of issuers', `${HEAD}jwt: []\n`],
    ['v1beta1', HEAD.replace('/v1\n', '/v1beta1\n')],
    ['anonymous switched off', `${HEAD}anonymous: { enabled: false }\n`],
  ] as const)('may have %s', ([, text]) => {
    expect(load(text)).toEqual({ issuers: [] })
  })

  test('may have 64 issuers, but not 65', () => {
    const issuers = (count: number) =>
      Array.from({ length: count }, (_, index) => jwt({ url: `https://${index}.example` }))
    expect(loadIssuers(...issuers(64)).issuers).toHaveLength(64)
    expect(problemsOf(() => loadIssuers(...issuers(65)))).toMatchObject([{ field: 'jwt' }])
  })

  test('is shipped as config/authentication.yaml', () => {
    const { issuers } = loadAuthenticationConfiguration('config/authentication.yaml')
    expect(issuers).toMatchObject([
      {
        url: 'https://login.example.com/realms/company',
        audiences: ['kubernetes'],
        claimMappings: { username: { prefix: 'oidc:' }, groups: { prefix: 'oidc:' } },
      },
    ])
  })
})

const issuerFile = (parts: JwtParts) => `${HEAD}jwt: ${JSON.stringify([jwt(parts)])}\n`
const rules = (...claimValidationRules: object[]) => issuerFile({ rest: { claimValidationRules } })

describe('a problem with its field and a fix is reported for', () => {
  test.for([
    ['another kind', HEAD.replace('Authentication', 'Authorization'), 'kind'],
    ['v1alpha1', HEAD.replace('/v1\n', '/v1alpha1\n'), 'apiVersion'],
    ['an empty file', '', ''],
    ['an unknown field', `${HEAD}jwts: []\n`, 'jwts'],
    ['a field in the wrong case', `${HEAD}JWT: []\n`, 'JWT'],
    ['a jwt that is not a list', `${HEAD}jwt: {}\n`, 'jwt'],
    ['anonymous access', `${HEAD}anonymous: { enabled: true }\n`, 'anonymous.enabled'],
    [
      'anonymous access on paths',
      `${HEAD}anonymous: { enabled: false, conditions: [{ path: /livez }] }\n`,
      'anonymous.conditions',
    ],
    ['no audience', issuerFile({ issuer: { audiences: [] } }), 'jwt[0].issuer.audiences'],
    [
      'an empty audience',
      issuerFile({ issuer: { audiences: [''] } }),
      'jwt[0].issuer.audiences[0]',
    ],
    [
      'a duplicate audience',
      issuerFile({ issuer: { audiences: ['a', 'a'], audienceMatchPolicy: 'MatchAny' } }),
      'jwt[0].issuer.audiences[1]',
    ],
    [
      'several audiences without a policy',
      issuerFile({ issuer: { audiences: ['a', 'b'] } }),
      'jwt[0].issuer.audienceMatchPolicy',
    ],
    [
      'an unknown policy',
      issuerFile({ issuer: { audienceMatchPolicy: 'MatchAll' } }),
      'jwt[0].issuer.audienceMatchPolicy',
    ],
    [
      'a certificate authority that is not PEM',
      issuerFile({ issuer: { certificateAuthority: 'MIIB' } }),
      'jwt[0].issuer.certificateAuthority',
    ],
    [
      'an egress selector',
      issuerFile({ issuer: { egressSelectorType: 'cluster' } }),
      'jwt[0].issuer.egressSelectorType',
    ],
    [
      'a discovery URL that is the same as the issuer URL',
      issuerFile({ issuer: { discoveryURL: 'https://a.example/' } }),
      'jwt[0].issuer.discoveryURL',
    ],
    ['a username without a prefix', issuerFile({ username: { claim: 'sub' } }), 'username.prefix'],
    ['a username without a claim', issuerFile({ username: { prefix: '' } }), 'username'],
    ['an empty username claim', issuerFile({ username: { claim: '', prefix: '' } }), 'username'],
    ['an empty username', issuerFile({ username: {} }), 'username'],
    [
      'groups without a prefix',
      issuerFile({ mappings: { groups: { claim: 'groups' } } }),
      'groups.prefix',
    ],
    ['a rule without a claim', rules({ requiredValue: 'x' }), 'claimValidationRules[0]'],
    [
      'two rules for the same claim',
      rules({ claim: 'a' }, { claim: 'a' }),
      'claimValidationRules[1].claim',
    ],
    [
      'a required value that is not a string',
      rules({ claim: 'a', requiredValue: true }),
      'claimValidationRules[0].requiredValue',
    ],
  ] as const)('%s', ([, text, field]) => {
    const problems = problemsOf(() => load(text))
    expect(problems).toHaveLength(1)
    expect(problems[0]!.field.slice(-field.length)).toBe(field)
    expect(problems[0]).toMatchObject({ file, line: expect.any(Number) as number })
    expect(problems[0]!.fix).not.toBe('')
  })

  test.for([
    'http://a.example',
    'HTTPS://a.example',
    'a.example',
    'https://',
    'https:a.example',
    'https://a.example?',
    'https://a.example#',
    'https://a.example/?x=1',
    'https://user@a.example',
    'https://:password@a.example',
    ' https://a.example',
    'https://a.example/ü',
    'https://a.example\n',
    '',
  ])('the issuer URL %j', (url) => {
    const fields = (problems: readonly { field: string }[]) => problems.map(({ field }) => field)
    expect(fields(problemsOf(() => loadIssuers(jwt({ url }))))).toEqual(['jwt[0].issuer.url'])
    // An empty one counts as absent.
    expect(fields(problemsOf(() => loadIssuers(jwt({ issuer: { discoveryURL: url } }))))).toEqual(
      url === '' ? [] : ['jwt[0].issuer.discoveryURL'],
    )
  })

  test('a private key among the certificates', () => {
    const issuer = { certificateAuthority: certificate + privateKey }
    expect(problemsOf(() => loadIssuers(jwt({ issuer })))).toMatchObject([
      { field: 'jwt[0].issuer.certificateAuthority' },
    ])
  })

  test('a duplicate issuer or discovery document', () => {
    const issuer = { discoveryURL: 'https://discovery.example/' }
    expect(problemsOf(() => loadIssuers(jwt({ issuer }), jwt({ issuer })))).toMatchObject([
      { field: 'jwt[1].issuer.url', message: '"https://a.example" is listed twice' },
      { field: 'jwt[1].issuer.discoveryURL' },
    ])
  })

  test('a duplicate key', () => {
    expect(problemsOf(() => load(`${HEAD}jwt: []\njwt: []\n`))).toMatchObject([
      { line: 4, message: 'duplicate key jwt' },
    ])
  })

  test('a file that does not exist', () => {
    expect(
      problemsOf(() => loadAuthenticationConfiguration(join(folder, 'none.yaml'))),
    ).toMatchObject([{ line: undefined }])
  })
})

test('an issuer of service accounts that the API server reviews is refused', () => {
  const options = (url: string) => ({
    ...{
      issuers: [],
      certificatePrefixes: { username: [], groups: [] },
      serviceAccountIssuers: [url],
    },
  })
  writeFileSync(file, issuerFile({}))
  expect(() => loadAuthenticationConfiguration(file, options('https://b.example'))).not.toThrow()
  expect(
    problemsOf(() => loadAuthenticationConfiguration(file, options('https://a.example'))),
  ).toMatchObject([
    { field: 'jwt[0].issuer.url', message: expect.stringContaining('serviceAccounts') as string },
  ])
})

test('all problems are reported together, each with its line', () => {
  const text = `${HEAD}jwt:
  - issuer:
      url: http://a.example
      audiences: [a, b]
    claimMappings:
      username:
        claim: sub
      groups:
        expression: claims.groups +
  - issuer:
      url: http://a.example
      audiences: [a]
      audience: a
    claimMappings: {}
`
  const found = problemsOf(() => load(text)).map(({ line, field }) => `${line ?? 0} ${field}`)
  expect(found.toSorted()).toEqual(
    [
      '5 jwt[0].issuer.url',
      '4 jwt[0].issuer.audienceMatchPolicy',
      '8 jwt[0].claimMappings.username.prefix',
      '11 jwt[0].claimMappings.groups.expression',
      '13 jwt[1].issuer.url',
      '13 jwt[1].issuer.url',
      '15 jwt[1].issuer.audience',
      '16 jwt[1].claimMappings.username',
    ].toSorted(),
  )
})

describe('what kube-apiserver 1.36 takes as absent is absent', () => {
  const variants: JwtParts[] = [null, ''].flatMap((none): JwtParts[] => [
    { issuer: { discoveryURL: none } },
    { issuer: { certificateAuthority: none } },
    { issuer: { audienceMatchPolicy: none } },
    { issuer: { egressSelectorType: none } },
    { username: { claim: 'sub', prefix: '', expression: none } },
    { mappings: { groups: { claim: none } } },
    { mappings: { groups: { claim: none, prefix: 'g:', expression: none } } },
    { mappings: { uid: { claim: none } } },
    { mappings: { uid: { claim: none, expression: none } } },
  ])
  variants.push(
    { rest: { claimValidationRules: null } },
    { rest: { claimValidationRules: [] } },
    { rest: { userValidationRules: null } },
    { mappings: { groups: null } },
    { mappings: { groups: {} } },
    { mappings: { uid: null } },
    { mappings: { uid: {} } },
    { mappings: { extra: null } },
    { mappings: { extra: [] } },
  )
  test.for(variants)('%j', (parts) => {
    expect(loadIssuers(jwt(parts))).toEqual(loadIssuers(jwt()))
  })

  test('in a rule, where a missing value is an empty one', () => {
    for (const requiredValue of [null, '', undefined]) {
      const rule = { claim: 'a', requiredValue, expression: null, message: '' }
      const { issuers } = loadIssuers(jwt({ rest: { claimValidationRules: [rule] } }))
      expect(issuers[0]?.rules.requiredClaims).toEqual([{ claim: 'a', requiredValue: '' }])
    }
  })

  test('in two issuers, which then do not share it', () => {
    const issuer = { discoveryURL: '' }
    const two = loadIssuers(jwt({ issuer }), jwt({ url: 'https://b.example', issuer }))
    expect(two.issuers).toHaveLength(2)
  })

  test.for(['jwt: null', 'anonymous: null', 'anonymous: {}', 'anonymous: {enabled: null}'])(
    '%s',
    (text) => {
      expect(load(`${HEAD}${text}\n`).issuers).toEqual([])
    },
  )

  test.for<[string, JwtParts, string]>([
    [
      'a prefix of null',
      { username: { claim: 'sub', prefix: null } },
      'is required if claim is set',
    ],
    [
      'a claim of null',
      { username: { claim: null, prefix: '' } },
      'has neither claim nor expression',
    ],
    ['an empty audience', { issuer: { audiences: [''] } }, 'is empty'],
    ['an unknown field of null', { issuer: { metadata: null } }, 'unknown field'],
    [
      'an empty policy for two audiences',
      { issuer: { audiences: ['a', 'b'], audienceMatchPolicy: '' } },
      'is required if there is more than one audience',
    ],
  ])('but %s is refused', ([, parts, message]) => {
    expect(problemsOf(() => loadIssuers(jwt(parts))).map((problem) => problem.message)).toEqual([
      message,
    ])
  })
})
