import { describe, expect, test } from 'vitest'

import {
  mapClaims,
  TokenClaims,
  withoutRepeats,
  type ClaimMappings,
} from '../../../src/authentication/oidc/claim-mappings.ts'
import { refusalOf } from './issuer.ts'

const bySub: ClaimMappings = {
  username: { claim: 'sub', prefix: 'oidc:' },
  groups: { claim: 'groups', prefix: 'g:', isRequired: false },
  uid: undefined,
  extra: [],
}
const byEmail: ClaimMappings = { ...bySub, username: { claim: 'email', prefix: '' } }

/** Maps claims that are parsed from JSON. */
const map = (json: string, mappings = bySub) => {
  const claims = new TokenClaims(JSON.parse(json) as Record<string, unknown>)
  return withoutRepeats(mapClaims(claims, mappings), mappings.groups)
}

describe('the username', () => {
  test.for([
    ['missing', '{}'],
    ['empty', '{"sub":""}'],
    ['null', '{"sub":null}'],
    ['a number', '{"sub":1}'],
    ['a list', '{"sub":["ada"]}'],
    ['an object', '{"sub":{"toString":"ada"}}'],
  ] as const)('is refused when its claim is %s', async ([, json]) => {
    expect(await refusalOf(() => map(json))).toMatch(/claim sub is missing, empty or not a string/)
  })

  test.for(['constructor', 'toString', '__proto__'])(
    'is not the inherited property %s',
    async (claim) => {
      const mappings = { ...bySub, username: { claim, prefix: '' } }
      expect(await refusalOf(() => map('{}', mappings))).toMatch(/missing/)
    },
  )

  test('is the claim called __proto__ if the issuer sends one', () => {
    const mappings = { ...bySub, username: { claim: '__proto__', prefix: '' } }
    expect(map('{"__proto__":"ada"}', mappings).username).toBe('ada')
  })

  test('is the prefix and the unchanged bytes of the claim', () => {
    expect(map('{"sub":" ada,\\u00fc \\n"}').username).toBe('oidc: ada,ü \n')
  })

  test.for([
    ['true', '{"email":"a@b","email_verified":true}'],
    ['absent', '{"email":"a@b"}'],
  ] as const)('is the email address if email_verified is %s', ([, json]) => {
    expect(map(json, byEmail).username).toBe('a@b')
  })

  test.for(['false', '"true"', '1', 'null'])(
    'is refused if it is an email address and email_verified is %s',
    async (verified) => {
      const json = `{"email":"a@b","email_verified":${verified}}`
      expect(await refusalOf(() => map(json, byEmail))).toMatch(/not verified/)
    },
  )

  test('by another claim does not depend on email_verified', () => {
    expect(map('{"sub":"ada","email_verified":false}').username).toBe('oidc:ada')
  })
})

describe('the groups', () => {
  test.for<[string, string, string[]]>([
    ['an empty list', ',"groups":[]', []],
    ['a string', ',"groups":"dev"', ['g:dev']],
    ['a string with commas', ',"groups":"a,b"', ['g:a,b']],
    ['an empty string', ',"groups":""', []],
    ['a list with a duplicate', ',"groups":["a","b","a"]', ['g:a', 'g:b']],
    ['a list with an empty name', ',"groups":["a",""]', ['g:a']],
    ['a list with null', ',"groups":[null,"a"]', ['g:a']],
  ])('are known from a claim that is %s', ([, json, groups]) => {
    const user = map(`{"sub":"ada"${json}}`)
    expect(user.groups).toEqual(groups)
    expect(user).not.toHaveProperty('unassertedGroups')
  })

  test.for<[string, string]>([
    ['absent', ''],
    ['null', ',"groups":null'],
    ['in another case', ',"Groups":["a"]'],
    ['replaced by an indication that there are too many', ',"hasgroups":true'],
  ])('are unknown if the claim is %s, or the token is refused', async ([, json]) => {
    const claims = `{"sub":"ada"${json}}`
    expect(map(claims)).toMatchObject({ groups: [], unassertedGroups: 'unknown' })
    const required = { ...bySub, groups: { claim: 'groups', prefix: 'g:', isRequired: true } }
    expect(await refusalOf(() => map(claims, required))).toMatch(
      /the token has no groups claim groups/,
    )
    expect(map('{"sub":"ada","groups":[]}', required).groups).toEqual([])
  })

  test.for([
    ['a number', '1'],
    ['a list with a number', '["a",1]'],
    ['a list in a list', '[["a"]]'],
    ['an object', '{"a":"b"}'],
    ['true', 'true'],
  ])('are refused if the claim is %s', async ([, value]) => {
    const json = `{"sub":"ada","groups":${value}}`
    expect(await refusalOf(() => map(json))).toMatch(/neither a string nor a list of strings/)
  })

  test('are complete if there are 300 of them', () => {
    const groups = Array.from({ length: 300 }, (_, index) => `group-${index}`)
    expect(map(JSON.stringify({ sub: 'ada', groups })).groups).toEqual(
      groups.map((group) => `g:${group}`),
    )
  })

  test('are refused in a distributed claim', async () => {
    const distributed = '"_claim_names":{"groups":"src"},"_claim_sources":{"src":{"endpoint":"x"}}'
    expect(await refusalOf(() => map(`{"sub":"ada",${distributed}}`))).toMatch(/distributed/)
    expect(map(`{"sub":"ada","groups":["a"],${distributed}}`).groups).toEqual(['g:a'])
    expect(map('{"sub":"ada","_claim_names":{"roles":"src"},"_claim_sources":{}}').groups).toEqual(
      [],
    )
    expect(await refusalOf(() => map('{"sub":"ada","_claim_names":{}}'))).toMatch(/_claim_sources/)
    const withoutGroups = { ...bySub, groups: undefined }
    expect(map(`{"sub":"ada",${distributed}}`, withoutGroups).groups).toEqual([])
  })

  test('are empty without a mapping for groups', () => {
    const user = map('{"sub":"ada","groups":["a"]}', { ...bySub, groups: undefined })
    expect(user).toMatchObject({ groups: [] })
    expect(user).not.toHaveProperty('unassertedGroups')
  })
})

describe('the uid', () => {
  const withUid = { ...bySub, uid: { claim: 'oid' } }

  test.for([
    ['"u-1"', 'u-1'],
    ['""', ''],
    ['null', ''],
  ] as const)('with the claim %s is %j', ([claim, uid]) => {
    expect(map(`{"sub":"ada","oid":${claim}}`, withUid).uid).toBe(uid)
  })

  test.for(['', ',"oid":7', ',"oid":["u"]'])('is refused in the claims {…%s}', async (json) => {
    expect(await refusalOf(() => map(`{"sub":"ada"${json}}`, withUid))).toMatch(/claim oid/)
  })
})

test.for<[string, Record<string, string[]>]>([
  ['"j"', { 'authentication.kubernetes.io/credential-id': ['JTI=j'] }],
  ['""', {}],
  ['7', {}],
  ['null', {}],
])('the jti %s gives this extra', ([jti, extra]) => {
  expect(map(`{"sub":"ada","jti":${jti}}`).extra).toEqual(extra)
})
