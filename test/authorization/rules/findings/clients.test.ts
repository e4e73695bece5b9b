import { expect, test } from 'vitest'

import { allowAll, BASICS, core, EVERYTHING, good, load } from '../fixtures.ts'

/** The warnings about what every client needs. */
function missingOf(...rules: object[]): string[] {
  return load(rules)
    .warnings.filter(({ fix }) => fix.includes('discovery and self-reviews'))
    .map(({ field, message, fix }) => `${field}: ${message} (${fix})`)
}

const [discovery = {}, selfReviews = {}] = BASICS
const team = { ...good, name: 'team', subjects: { groups: ['oidc:team-*'] } }

test('an allow rule whose users lack what every client needs is warned of', () => {
  expect(missingOf(team)).toEqual([
    'rules[0]: the users of the rule "team" may not request /api, /apis, /api/v1, …, without which kubectl and helm fail with "unknown" (add the rules discovery and self-reviews of config/rules.yaml)',
  ])
})

test('it is one warning for the file', () => {
  expect(missingOf(team, { ...team, name: 'other', subjects: { users: ['ada'] } })).toEqual([
    expect.stringContaining('the users of the rule "team" (and of 1 more) may not request'),
  ])
})

test.for<readonly [missing: string, ...rules: object[]]>([
  ['/apis/authentication.k8s.io/v1/selfsubjectreviews', team, discovery],
  ['/api, /apis', team, selfReviews],
  ['/openapi/v2', team, selfReviews, { ...discovery, nonResourceURLs: ['/api*', '/version'] }],
  ['/api', team, { ...discovery, subjects: { groups: ['oidc:admins'] } }, selfReviews],
  ['/api', team, { ...discovery, mode: 'shadow' }, selfReviews],
  ['/api', { ...allowAll, resources: EVERYTHING }],
  [
    'selfsubjectaccessreviews',
    { name: 'no', effect: 'deny', verbs: ['create'], resources: EVERYTHING },
    team,
    ...BASICS,
  ],
])('so is what only a part of the rules allows: %s', ([missing, ...rules]) => {
  expect(missingOf(...rules)).toEqual([expect.stringContaining(missing)])
})

test.for<readonly object[]>([
  [team, ...BASICS],
  [{ ...allowAll, nonResourceURLs: ['*'] }],
  [{ name: 'no', effect: 'deny', verbs: ['*'], resources: core('secrets') }],
  [{ ...team, mode: 'shadow' }],
])('users who have it, or are allowed nothing, are not warned of: %j', (rules) => {
  expect(missingOf(...rules)).toEqual([])
})

test('a default of allow needs no such rules', () => {
  expect(load([team], { default: 'allow' }).warnings).toEqual([])
})
