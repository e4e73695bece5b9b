import { expect, test } from 'vitest'

import type { UserInfo } from '../../src/authentication/authenticator.ts'
import { createGroupFilter } from '../../src/authentication/group-filter.ts'

function user(groups: readonly string[], rest: Partial<UserInfo> = {}): UserInfo {
  return { username: 'ada', uid: '', groups, extra: {}, ...rest }
}

test('without a list, every group is kept', () => {
  const ada = user(['a'])
  expect(createGroupFilter(undefined)(ada)).toBe(ada)
})

test('groups that match a pattern are kept in their order, and the others count for deny rules', () => {
  const filter = createGroupFilter(['oidc:team-*', 'oidc:platform'])
  const groups = ['oidc:team-b', 'oidc:platforms', 'oidc:platform', 'oidc:team-', 'team-a']
  expect(filter(user(groups))).toEqual(
    user(['oidc:team-b', 'oidc:platform', 'oidc:team-'], {
      unassertedGroups: ['oidc:platforms', 'team-a'],
    }),
  )
})

test('a user with allowed groups only is returned as it is', () => {
  const ada = user(['a'])
  expect(createGroupFilter(['a', 'b'])(ada)).toBe(ada)
})

test('unknown groups stay unknown', () => {
  const ada = user(['a', 'b'], { unassertedGroups: 'unknown' })
  expect(createGroupFilter(['a'])(ada)).toEqual(user(['a'], { unassertedGroups: 'unknown' }))
})

test('deny rules count a group with blanks at an end with and without them', () => {
  expect(createGroupFilter(['a'])(user([' contractors ', ' ', '', 'a ']))).toMatchObject({
    groups: [],
    unassertedGroups: [' contractors ', 'contractors', ' ', 'a ', 'a'],
  })
})

test('a pattern in another case matches nothing', () => {
  expect(createGroupFilter(['Dev'])(user(['dev'])).groups).toEqual([])
})
