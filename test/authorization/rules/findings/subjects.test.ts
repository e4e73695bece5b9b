import { describe, expect, test } from 'vitest'

import type { SubjectNames } from '../../../../src/authorization/rules/findings/subjects.ts'
import { good, load } from '../fixtures.ts'

const TOKENS: SubjectNames = {
  userPrefixes: ['oidc:'],
  groupSources: [{ prefix: 'oidc:', filter: undefined }],
  hasCertificates: false,
  systemUsers: [],
  systemGroups: ['system:listed'],
}
const BOTH = { ...TOKENS, hasCertificates: true }
const CERTIFICATES = { ...BOTH, userPrefixes: [], groupSources: [] }

function warningsOf(names: SubjectNames, subjects: object, effect = 'allow'): string[] {
  return load([{ ...good, subjects, effect }])
    .warnOfSubjects(names)
    .map(({ field, message, fix }) => `${field}: ${message} (${fix})`)
}

test.for(['allow', 'deny'])(
  'with tokens alone, an %s for a name without a prefix is warned of',
  (effect) => {
    expect(
      warningsOf(TOKENS, { users: ['oidc:ada', 'ada'], groups: ['engineers'] }, effect),
    ).toEqual([
      'rules[0].subjects.users[1]: no user has the name "ada": each begins with the prefix of its issuer (did you mean "oidc:ada"?)',
      'rules[0].subjects.groups[0]: no group has the name "engineers": each begins with the prefix of its issuer (did you mean "oidc:engineers"?)',
    ])
  },
)

test('the prefixes of several issuers are offered', () => {
  const names = { ...TOKENS, userPrefixes: ['a:', 'b:'] }
  expect(warningsOf(names, { users: ['ada'] })[0]).toContain('did you mean "a:ada" or "b:ada"?')
  expect(warningsOf(names, { users: ['b:ada'] })).toEqual([])
})

test('with certificates, only a deny that spares tokens is warned of', () => {
  expect(warningsOf(BOTH, { groups: ['engineers'] }, 'allow')).toEqual([])
  expect(warningsOf(BOTH, { groups: ['engineers'] }, 'deny')).toEqual([
    'rules[0].subjects.groups[0]: "engineers" matches only certificates: every group of a token begins with a prefix (add "oidc:engineers" to deny them, too)',
  ])
  expect(warningsOf(BOTH, { groups: ['engineers', 'oidc:engineers'] }, 'deny')).toEqual([])
  expect(warningsOf(BOTH, { groups: ['engineers', 'oidc:*'] }, 'deny')).toEqual([])
  expect(warningsOf(CERTIFICATES, { groups: ['engineers'] }, 'deny')).toEqual([])
})

test.for([['*'], ['oidc:eng*'], ['oi*'], ['oidc:engineers']])(
  'a name or pattern that may match a prefixed name is not warned of: %s',
  ([pattern = '']) => {
    expect(warningsOf(TOKENS, { users: [pattern], groups: [pattern] }, 'deny')).toEqual([])
  },
)

test('an issuer without a prefix allows every name', () => {
  expect(warningsOf({ ...TOKENS, userPrefixes: ['oidc:', ''] }, { users: ['ada'] })).toEqual([])
})

test('groups are warned of if no issuer has any', () => {
  expect(warningsOf({ ...TOKENS, groupSources: [] }, { groups: ['oidc:engineers'] })).toEqual([
    'rules[0].subjects.groups[0]: no group has the name "oidc:engineers": no issuer has claimMappings.groups, and there are no client certificates (configure claimMappings in authentication.yaml, or remove it)',
  ])
})

test('a name of Kubernetes that the configuration does not list is warned of', () => {
  const groups = ['system:masters', 'system:authenticated', 'system:listed', 'system:l*']
  for (const names of [TOKENS, BOTH]) {
    expect(warningsOf(names, { groups })).toEqual([
      'rules[0].subjects.groups[0]: no group has the name "system:masters": Gatehouse rejects "system:" names that are not listed (list it in authentication.systemIdentities.groups of gatehouse.yaml, or remove it)',
    ])
    expect(warningsOf(names, { users: ['system:serviceaccount:a:b'] })[0]).toContain(
      'list it in authentication.systemIdentities.users of gatehouse.yaml',
    )
  }
})

test('with service accounts, their names and groups are those of somebody', () => {
  const names = {
    ...TOKENS,
    systemUsers: ['system:serviceaccount:*'],
    systemGroups: ['system:serviceaccounts', 'system:serviceaccounts:*'],
  }
  const users = ['system:serviceaccount:a:b', 'system:serviceaccount:a:*', 'system:s*']
  const groups = ['system:serviceaccounts', 'system:serviceaccounts:team-a']
  expect(warningsOf(names, { users, groups })).toEqual([])
  expect(warningsOf(names, { users: ['system:node:n', 'system:n*'] })).toHaveLength(2)
  expect(warningsOf(names, { groups: ['system:serviceaccounts-of-others'] })).toHaveLength(1)
})

describe('a group that allowedGroups leaves out', () => {
  const source = (issuer: string, prefix: string, ...allowed: readonly string[]) => ({
    prefix,
    filter: { issuer, allowed },
  })
  const FILTERED = {
    ...TOKENS,
    groupSources: [source('https://a', 'oidc:', 'oidc:dev', 'oidc:t-*')],
  }
  const dropped = (issuers: string, group: string) =>
    `allowedGroups of ${issuers} leaves out "${group}": no user has it here, only deny rules count it (add it to allowedGroups in gatehouse.yaml, or remove it)`

  test('is warned of in an allow rule, and a deny rule counts it', () => {
    const subjects = { groups: ['oidc:dev', 'oidc:ops', 'oidc:t-1', 'oidc:o*', 'oidc:*'] }
    expect(warningsOf(FILTERED, subjects)).toEqual([
      `rules[0].subjects.groups[1]: ${dropped('https://a', 'oidc:ops')}`,
      `rules[0].subjects.groups[3]: ${dropped('https://a', 'oidc:o*')}`,
    ])
    expect(warningsOf(FILTERED, subjects, 'deny')).toEqual([])
  })

  test('is warned of where it names who acts as others', () => {
    const rule = { ...good, subjects: { users: ['oidc:bot'] } }
    const impersonatedBy = { users: ['oidc:ops'], groups: ['oidc:ops'] }
    const [warning, ...others] = load([{ ...rule, impersonatedBy }]).warnOfSubjects(FILTERED)
    expect(warning?.field).toBe('rules[0].impersonatedBy.groups[0]')
    expect(others).toEqual([])
  })

  test('is not warned of if another source may give it', () => {
    const unfiltered = { prefix: 'oidc:', filter: undefined }
    const groupSources = [...FILTERED.groupSources, unfiltered]
    expect(warningsOf({ ...TOKENS, groupSources }, { groups: ['oidc:ops'] })).toEqual([])
    const others = [...FILTERED.groupSources, source('https://b', 'oidc:', 'oidc:x')]
    expect(warningsOf({ ...TOKENS, groupSources: others }, { groups: ['oidc:ops'] })).toEqual([
      `rules[0].subjects.groups[0]: ${dropped('https://a and https://b', 'oidc:ops')}`,
    ])
  })

  test('is warned of beside certificates, which cannot have a name of an issuer', () => {
    const names = { ...FILTERED, hasCertificates: true }
    expect(warningsOf(names, { groups: ['oidc:ops', 'ops', 'o*'] })).toEqual([
      `rules[0].subjects.groups[0]: ${dropped('https://a', 'oidc:ops')}`,
    ])
    const unprefixed = { ...names, groupSources: [source('https://a', '', 'dev')] }
    expect(warningsOf(unprefixed, { groups: ['ops', 'system:authenticated'] })).toEqual([])
    const groups = ['ops', 'system:authenticated']
    expect(warningsOf({ ...unprefixed, hasCertificates: false }, { groups })).toHaveLength(1)
  })
})
