import { describe, expect, test } from 'vitest'

import type { UserInfo } from '../../src/authentication/authenticator.ts'
import {
  DEFAULT_IDENTITY_LIMITS,
  guardIdentity,
  type GuardOptions,
} from '../../src/authentication/identity-guard.ts'

const NONE_ALLOWED: GuardOptions = {
  systemIdentities: { users: [], groups: [] },
  ...DEFAULT_IDENTITY_LIMITS,
  unusableGroups: 'refuse',
}

function user(overrides: Partial<UserInfo>): UserInfo {
  return { username: 'ada', uid: '', groups: [], extra: {}, ...overrides }
}

test('system:authenticated is added to the groups once', () => {
  const groups = (of: readonly string[]) => guardIdentity(user({ groups: of }), NONE_ALLOWED).groups
  expect(groups([])).toEqual(['system:authenticated'])
  expect(groups(['dev'])).toEqual(['dev', 'system:authenticated'])
  expect(groups(['system:authenticated', 'dev'])).toEqual(['system:authenticated', 'dev'])
})

describe('the identity guard', () => {
  const cases: { name: string; identity: Partial<UserInfo>; message: string }[] = [
    {
      name: 'a service account as user name',
      identity: { username: 'system:serviceaccount:a:b' },
      message: 'user name "system:serviceaccount:a:b" is reserved for Kubernetes',
    },
    {
      name: 'the anonymous user',
      identity: { username: 'system:anonymous' },
      message: 'user name "system:anonymous" is reserved for Kubernetes',
    },
    {
      name: 'the prefix in another case',
      identity: { username: 'System:admin' },
      message: 'user name "System:admin" is reserved for Kubernetes',
    },
    {
      name: 'the group of cluster administrators',
      identity: { groups: ['dev', 'system:masters'] },
      message: 'group "system:masters" is reserved for Kubernetes',
    },
    {
      name: 'a space before a name, which a header parser would trim',
      identity: { groups: [' system:masters'] },
      message: 'group " system:masters" begins or ends with whitespace',
    },
    {
      name: 'a no-break space after a name',
      identity: { username: 'ada\u00a0' },
      message: String.raw`user name "ada\u00a0" begins or ends with whitespace`,
    },
    {
      name: 'a line break in a name',
      identity: { username: 'ada\r\nImpersonate-Group: system:masters' },
      message: 'contains control characters',
    },
    { name: 'a NUL', identity: { uid: 'a\0b' }, message: 'contains control characters' },
    {
      name: 'a C1 control character',
      identity: { extra: { key: ['a\u0085b'] } },
      message: String.raw`extra value "a\u0085b" contains control characters`,
    },
    { name: 'an empty user name', identity: { username: '' }, message: 'user name is empty' },
    { name: 'an empty group', identity: { groups: [''] }, message: 'group is empty' },
    {
      name: 'half a surrogate pair',
      identity: { username: 'a\ud800' },
      message: 'user name is not valid Unicode',
    },
    {
      name: 'a name over the length limit',
      identity: { username: 'a'.repeat(1_025) },
      message: 'user name is longer than 1024 bytes',
    },
    {
      name: 'more groups than the limit',
      identity: { groups: Array.from({ length: 1_001 }, (_, i) => `g${i}`) },
      message:
        '1001 groups exceed the limit of 1000: ask your administrator for a credential with fewer groups',
    },
    {
      name: 'groups that take more bytes than the limit',
      identity: { groups: Array.from({ length: 70 }, (_, i) => `${i}${'g'.repeat(1_000)}`) },
      message: 'bytes of groups and extra values exceed the limit of 65536: ask your administrator',
    },
  ]

  test.for(cases)('refuses $name', ({ identity, message }) => {
    expect(() => guardIdentity(user(identity), NONE_ALLOWED)).toThrow(
      expect.objectContaining({ code: 403, message: expect.stringContaining(message) as string }),
    )
  })
})

test.for([
  ['a zero width space', 'ad\u200ba'],
  ['a soft hyphen', 'ad\u00ada'],
  ['a word joiner', 'ad\u2060a'],
  ['a right-to-left override', 'ada\u202emoc.elpmaxe'],
  ['an isolate', 'ada\u2066'],
  ['a right-to-left mark', '\u200fada'],
  ['a combining grapheme joiner', 'ad\u034fa'],
  ['a Hangul choseong filler', 'ad\u115fa'],
  ['a Hangul jungseong filler', 'ad\u1160a'],
  ['a Khmer inherent vowel', 'ad\u17b4a'],
  ['another Khmer inherent vowel', 'ad\u17b5a'],
  ['a Mongolian variation selector', 'ad\u180ba'],
  ['the last Mongolian variation selector', 'ad\u180da'],
  ['the fourth Mongolian variation selector', 'ad\u180fa'],
  ['a braille blank', 'ad\u2800a'],
  ['a Hangul filler', 'ad\u3164a'],
  ['a halfwidth Hangul filler', 'ad\uffa0a'],
  ['a variation selector', 'ad\ufe00a'],
  ['the variation selector of emoji', 'ad\ufe0fa'],
  ['an unassigned code point that is ignored', 'ad\ufff0a'],
  ['the last of these', 'ad\ufff8a'],
  ['an object replacement character', 'ad\ufffca'],
  ['a shorthand format control', 'ad\u{1bca0}a'],
  ['a musical null notehead', 'ad\u{1d159}a'],
  ['a musical format control', 'ad\u{1d173}a'],
  ['a Khitan filler', 'ad\u{16fe4}a'],
  ['a supplementary variation selector', 'ad\u{e0100}a'],
  ['the last ignorable code point', 'ad\u{e0fff}a'],
  ['a private code point', 'ad\ue000a'],
  ['an unassigned code point', 'ad\u0378a'],
  ['a no-break space within', 'ad\u00a0a'],
  ['a hair space within', 'ad\u200aa'],
  ['a tag character outside the Basic Multilingual Plane', 'ada\u{e0041}'],
  ['a replacement character, which decoders put in place of invalid bytes', 'ad\ufffd'],
] as const)('a name with %s is refused in every field', ([, name]) => {
  for (const identity of [
    { username: name },
    { uid: name },
    { groups: [name] },
    { extra: { key: [name] } },
    { extra: { [name]: ['value'] } },
  ]) {
    expect(() => guardIdentity(user(identity), NONE_ALLOWED)).toThrow(
      expect.objectContaining({
        code: 403,
        message: expect.stringMatching(/^[\x20-\x7e]*contains invisible characters$/) as string,
      }),
    )
  }
})

test.for([
  'علی‌رضا',
  'क्‍ष',
  'Zoë',
  'zoe\u0308',
  '李',
  '👩‍💻',
  'ada@example.com',
  'a b',
  "o'neil",
  '開発\u3000部',
  'กุ้ง',
])('the name %s is accepted unchanged', (name) => {
  const identity = user({ username: name, groups: [name] })
  expect(guardIdentity(identity, NONE_ALLOWED)).toMatchObject({
    username: name,
    groups: [name, 'system:authenticated'],
  })
})

test('every code point that Unicode lets a renderer ignore is refused, except ZWNJ and ZWJ', () => {
  const accepted: number[] = []
  for (let code = 0x80; code <= 0x10_ff_ff; code++) {
    const character = String.fromCodePoint(code)
    if (!/\p{Default_Ignorable_Code_Point}/u.test(character)) continue
    try {
      guardIdentity(user({ username: `a${character}a` }), NONE_ALLOWED)
      accepted.push(code)
    } catch {
      // Refused, as it should be.
    }
  }
  expect(accepted).toEqual([0x20_0c, 0x20_0d])
})

test('system identities that the administrator allows are accepted, and no others', () => {
  const allowed: GuardOptions = {
    ...NONE_ALLOWED,
    systemIdentities: { users: ['system:serviceaccount:ci:runner'], groups: ['system:ci'] },
  }
  const identity = user({ username: 'system:serviceaccount:ci:runner', groups: ['system:ci'] })
  expect(guardIdentity(identity, allowed).groups).toContain('system:ci')
  expect(() => guardIdentity(user({ groups: ['system:masters'] }), allowed)).toThrow('reserved')
})

test('names that only resemble system identities are accepted', () => {
  const identity = user({ username: 'xsystem:a', groups: ['my-system:b', 'systems'] })
  expect(guardIdentity(identity, NONE_ALLOWED).username).toBe('xsystem:a')
})

test('a group that is listed several times is asserted once', () => {
  expect(guardIdentity(user({ groups: ['b', 'a', 'b'] }), NONE_ALLOWED).groups).toEqual([
    'b',
    'a',
    'system:authenticated',
  ])
})

test('the limits are those of the options, and the limit itself is allowed', () => {
  const options = { ...NONE_ALLOWED, maxGroups: 2, maxIdentityBytes: 10 }
  const message = (groups: readonly string[], extra: UserInfo['extra'] = {}): string => {
    try {
      guardIdentity(user({ groups, extra }), options)
      return ''
    } catch (error) {
      return (error as Error).message
    }
  }
  expect(message(['a', 'b'])).toBe('')
  expect(message(['a', 'b', 'c'])).toContain('3 groups exceed the limit of 2')
  expect(message(['12345'], { key: ['67890'] })).toBe('')
  // In bytes: these are six.
  expect(message(['12345'], { key: ['1234\u00e9'] })).toContain(
    '11 bytes of groups and extra values exceed the limit of 10',
  )
})

describe('groups that a filter has left out', () => {
  const left = (unassertedGroups: readonly string[]) => user({ groups: ['dev'], unassertedGroups })

  test('stay with the user, whatever their names', () => {
    const names = ['a\u200bb', 'ops']
    expect(guardIdentity(left(names), NONE_ALLOWED).unassertedGroups).toEqual(names)
  })

  test('are refused if they are reserved for Kubernetes and not allowed', () => {
    expect(() => guardIdentity(left(['system:masters']), NONE_ALLOWED)).toThrow('reserved')
    const allowed = { ...NONE_ALLOWED, systemIdentities: { users: [], groups: ['system:ci'] } }
    expect(guardIdentity(left(['system:ci']), allowed).groups).toEqual([
      'dev',
      'system:authenticated',
    ])
  })
})

describe('with unusableGroups: drop', () => {
  const dropping: GuardOptions = { ...NONE_ALLOWED, unusableGroups: 'drop' }
  const groupsOf = (groups: readonly string[]) => {
    const { groups: asserted, unassertedGroups } = guardIdentity(user({ groups }), dropping)
    return { asserted, unassertedGroups }
  }

  test.for(['dev ', ' dev', 'dev\t', 'dev\u00a0'])(
    'the group %j is dropped, and deny rules count it with and without blanks',
    (group) => {
      expect(groupsOf(['ops', group])).toEqual({
        asserted: ['ops', 'system:authenticated'],
        unassertedGroups: [group, 'dev'],
      })
    },
  )

  test('a group with invisible or control characters, or an empty or long one, is dropped', () => {
    const long = 'g'.repeat(1_025)
    expect(groupsOf(['a\u200bb', 'a\0b', '', long, 'ops'])).toEqual({
      asserted: ['ops', 'system:authenticated'],
      unassertedGroups: ['a\u200bb', 'a\0b', long],
    })
  })

  test('a blank does not make a reserved group usable', () => {
    expect(groupsOf([' system:masters']).asserted).toEqual(['system:authenticated'])
    expect(() => groupsOf(['system:masters', 'dev '])).toThrow('reserved')
  })

  test('user names, uids and extra values are refused as before', () => {
    for (const identity of [{ username: 'ada ' }, { uid: 'a ' }, { extra: { key: ['a '] } }]) {
      expect(() => guardIdentity(user(identity), dropping)).toThrow('whitespace')
    }
  })
})
