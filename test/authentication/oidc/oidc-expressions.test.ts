/** Signed tokens whose users are made and checked by CEL expressions. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import {
  loadAuthenticationConfiguration,
  type AuthenticationConfiguration,
} from '../../../src/authentication/oidc/authentication-config.ts'
import type { IssuerOptions } from '../../../src/authentication/oidc/authentication-names.ts'
import { ConfigError } from '../../../src/config/problem.ts'
import { createSigningKey, refusalOf, signToken, startIssuer, type TestIssuer } from './issuer.ts'
import { startOidc } from './oidc-sign-in.ts'

let folder: string
let issuer: TestIssuer
const key = await createSigningKey('k1')
const closing: (() => void)[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-expressions-'))
  issuer = await startIssuer([key.publicJwk])
})
afterEach(() => {
  for (const close of closing.splice(0)) close()
})
afterAll(async () => {
  await issuer.close()
  rmSync(folder, { recursive: true })
})

function load(jwt: object, options?: IssuerOptions): AuthenticationConfiguration {
  const file = join(folder, 'authentication.yaml')
  const { url, certificateAuthority } = issuer
  const own = { url, certificateAuthority, audiences: ['kubernetes'] }
  writeFileSync(
    file,
    JSON.stringify({
      ...{ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AuthenticationConfiguration' },
      jwt: [{ issuer: own, ...jwt }],
    }),
  )
  return loadAuthenticationConfiguration(file, options)
}

function problemsOf(jwt: object, options?: IssuerOptions) {
  try {
    load(jwt, options)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

async function signIn(jwt: object, claims: Record<string, unknown>, options?: IssuerOptions) {
  const oidc = startOidc(load(jwt, options), {})
  closing.push(() => oidc.close())
  return oidc.authenticate(await signToken(issuer, key, { claims }))
}

const full = {
  claimMappings: {
    username: { expression: '"oidc:" + claims.sub.lowerAscii()' },
    groups: { expression: 'dyn(claims.?realm_access.roles.orValue([])).map(r, "oidc:" + r)' },
    uid: { expression: 'string(int(claims.number))' },
    extra: [{ key: 'example.com/team', valueExpression: 'claims.?team.orValue("")' }],
  },
  claimValidationRules: [{ expression: 'claims.hd == "example.com"', message: 'wrong domain' }],
  userValidationRules: [
    { expression: 'user.groups.all(g, g != "oidc:banned")', message: 'the user is banned' },
  ],
}
const claims = {
  ...{ sub: 'Ada', number: 1_234_567, hd: 'example.com', team: ['a', '', 'b'] },
  realm_access: { roles: ['dev', 'dev'] },
}

describe('a user', () => {
  test('is made of the claims by expressions', async () => {
    expect((await signIn(full, claims)).user).toEqual({
      username: 'oidc:ada',
      uid: '1234567',
      groups: ['oidc:dev'],
      extra: { 'example.com/team': ['a', 'b'] },
    })
  })

  test.for<[string, Record<string, unknown>, RegExp]>([
    [
      'a claim is missing',
      { sub: undefined },
      /username expression has no value .*no such key: sub/,
    ],
    ['a claim has another type', { sub: 7 }, /the claim sub is not a string/],
    ['a rule is not met', { hd: 'example.org' }, /claimValidationRules is not met: wrong domain/],
    ['a rule has no value', { hd: undefined }, /claimValidationRules has no value/],
    [
      'a rule about the user is not met',
      { realm_access: { roles: ['banned'] } },
      /userValidationRules is not met: the user is banned/,
    ],
    ['groups are not strings', { realm_access: { roles: [7] } }, /groups expression has no value/],
    ['an extra is not a string', { team: [7] }, /extra example.com\/team has an element/],
    ['a number is too large', { number: 1e30 }, /uid expression has no value/],
  ])('is refused if %s', async ([, changed, reason]) => {
    expect(await refusalOf(() => signIn(full, { ...claims, ...changed }))).toMatch(reason)
  })

  test('is refused with a value of the wrong type, whose text is not quoted', async () => {
    const mappings = (mapping: object) => ({
      claimMappings: { username: { claim: 'sub', prefix: '' }, ...mapping },
    })
    const byName = { claimMappings: { username: { expression: 'claims.level' } } }
    expect(await refusalOf(() => signIn(byName, { level: 3 }))).toMatch(/not a string/)
    expect(await refusalOf(() => signIn(byName, { level: '' }))).toMatch(/is empty or not a string/)
    const uid = mappings({ uid: { expression: 'claims.level' } })
    expect(await refusalOf(() => signIn(uid, { level: 3 }))).toMatch(
      /uid expression is not a string/,
    )
    const groups = mappings({ groups: { expression: 'claims.csv.split(",")' } })
    expect(await refusalOf(() => signIn(groups, { csv: 'secret,x' }))).toMatch(
      /^(?!.*secret).*write \.map\(x, x\) behind it/,
    )
  })

  test('has unknown groups if the expression gives none and the token has claims elsewhere', async () => {
    const jwt = {
      claimMappings: {
        username: { claim: 'sub', prefix: '' },
        groups: { expression: 'claims.?groups.orValue([])' },
      },
    }
    const elsewhere = {
      _claim_names: { groups: 's' },
      _claim_sources: { s: { endpoint: 'https://graph.example' } },
    }
    expect((await signIn(jwt, { sub: 'ada', groups: [] })).user).not.toHaveProperty(
      'unassertedGroups',
    )
    expect((await signIn(jwt, { sub: 'ada', ...elsewhere })).user.unassertedGroups).toBe('unknown')
    const { url } = issuer
    const options: IssuerOptions = {
      issuers: [
        {
          url,
          missingGroups: 'refuse',
          sharesNames: false,
          backchannelLogout: false,
          cachedKeyLifetime: 86_400_000,
        },
      ],
      certificatePrefixes: { username: [], groups: [] },
    }
    expect(await refusalOf(() => signIn(jwt, { sub: 'ada', ...elsewhere }, options))).toMatch(
      /does not state its groups/,
    )
  })

  test('that costs too much is refused', async () => {
    const rule = 'dyn(claims.g).all(a, dyn(claims.g).all(b, dyn(claims.g).all(c, true)))'
    const jwt = {
      claimMappings: { username: { claim: 'sub', prefix: '' } },
      claimValidationRules: [{ expression: rule }],
    }
    const g = Array.from({ length: 300 }, (_, index) => `g${index}`)
    expect(await refusalOf(() => signIn(jwt, { sub: 'ada', g }))).toMatch(/exceeds the cost limit/)
  })
})

describe('an expression in a file', () => {
  test('that does not compile is reported with field, place and fix, with all others', () => {
    const problems = problemsOf({
      claimMappings: {
        username: { expression: 'claims.sub +' },
        groups: { expression: 'claims.a\n  .foo()' },
        extra: [{ key: 'k8s.io/x', valueExpression: "quantity('1')" }],
      },
      claimValidationRules: [{ expression: 'claims.admin' }],
      userValidationRules: [{ expression: 'claims.sub == ""' }],
    })
    expect(problems.map(({ field, message }) => `${field}: ${message}`)).toEqual(
      expect.arrayContaining([
        'jwt[0].claimMappings.username.expression: does not compile: unexpected the end, at character 13',
        "jwt[0].claimMappings.groups.expression: does not compile: undeclared reference to 'foo', at line 2, character 3",
        'jwt[0].claimMappings.extra[0].key: is in a domain that is reserved for Kubernetes',
        'jwt[0].claimMappings.extra[0].valueExpression: does not compile: the function quantity is not supported, at character 1',
        'jwt[0].claimValidationRules[0].expression: is of type any, and must be true or false',
        "jwt[0].userValidationRules[0].expression: does not compile: undeclared reference to 'claims', at character 1",
      ]),
    )
    expect(problems).toHaveLength(6)
    for (const { line, fix } of problems) expect(line !== undefined && fix !== '').toBe(true)
  })

  const certificates: IssuerOptions = {
    issuers: [],
    certificatePrefixes: { username: [''], groups: [''] },
  }
  test('gives names with a constant prefix, or others may have them', () => {
    const named = (expression: string) => ({ claimMappings: { username: { expression } } })
    expect(problemsOf(named('"oidc:" + claims.sub'), certificates)).toEqual([])
    expect(problemsOf(named('claims.sub'), certificates)).toMatchObject([
      {
        field: 'jwt[0].claimMappings.username.expression',
        message: expect.stringContaining('begins with no constant prefix') as string,
        fix: expect.stringContaining('"oidc:" + claims.sub') as string,
      },
    ])
  })
})
