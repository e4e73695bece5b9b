import { describe, expect, test } from 'vitest'

import type { UserInfo } from '../../src/authentication/authenticator.ts'
import { guardIdentity } from '../../src/authentication/identity-guard.ts'

const NOBODY = { users: [], groups: [] }

function user(overrides: Partial<UserInfo>): UserInfo {
  return { username: 'ada', uid: '', groups: [], extra: {}, ...overrides }
}

test('system:authenticated is among the groups, once', () => {
  const groups = (of: readonly string[]) => guardIdentity(user({ groups: of }), NOBODY).groups
  expect(groups([])).toEqual(['system:authenticated'])
  expect(groups(['dev'])).toEqual(['dev', 'system:authenticated'])
  expect(groups(['system:authenticated', 'dev'])).toEqual(['system:authenticated', 'dev'])
})

describe('is refused', () => {
  const cases: { name: string; identity: Partial<UserInfo>; message: string }[] = [
    {
      name: 'a service account as user name',
      identity: { username: 'system:serviceaccount:a:b' },
      message: 'the user name "system:serviceaccount:a:b" is reserved to Kubernetes',
    },
    {
      name: 'the anonymous user',
      identity: { username: 'system:anonymous' },
      message: 'the user name "system:anonymous" is reserved to Kubernetes',
    },
    {
      name: 'another case of the prefix',
      identity: { username: 'System:admin' },
      message: 'the user name "System:admin" is reserved to Kubernetes',
    },
    {
      name: 'the group of cluster administrators',
      identity: { groups: ['dev', 'system:masters'] },
      message: 'the group "system:masters" is reserved to Kubernetes',
    },
    {
      name: 'a blank before a name, which a header reader would trim',
      identity: { groups: [' system:masters'] },
      message: 'the group " system:masters" begins or ends with a blank',
    },
    {
      name: 'a no-break space behind a name',
      identity: { username: 'ada\u00a0' },
      message: String.raw`the user name "ada\u00a0" begins or ends with a blank`,
    },
    {
      name: 'a line break in a name',
      identity: { username: 'ada\r\nImpersonate-Group: system:masters' },
      message: 'holds control characters',
    },
    { name: 'a NUL', identity: { uid: 'a\0b' }, message: 'holds control characters' },
    {
      name: 'a C1 control character',
      identity: { extra: { key: ['a\u0085b'] } },
      message: String.raw`the extra value "a\u0085b" holds control characters`,
    },
    { name: 'an empty user name', identity: { username: '' }, message: 'an empty user name' },
    { name: 'an empty group', identity: { groups: [''] }, message: 'an empty group' },
    {
      name: 'half a surrogate pair',
      identity: { username: 'a\ud800' },
      message: 'the user name is not Unicode',
    },
    {
      name: 'a name longer than any',
      identity: { username: 'a'.repeat(1_025) },
      message: 'the user name is longer than 1024 bytes',
    },
    {
      name: 'more groups than fit',
      identity: { groups: Array.from({ length: 501 }, (_, i) => `g${i}`) },
      message: 'the user has 501 groups, more than 500',
    },
    {
      name: 'groups that take more bytes than fit',
      identity: { groups: Array.from({ length: 40 }, (_, i) => `${i}${'g'.repeat(1_000)}`) },
      message: 'bytes, more than 24576',
    },
  ]

  test.for(cases)('$name', ({ identity, message }) => {
    expect(() => guardIdentity(user(identity), NOBODY)).toThrow(
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
  ['a tag, outside the basic plane', 'ada\u{e0041}'],
  ['a replacement character, which many bytes become', 'ad\ufffd'],
] as const)('a name with %s is refused, wherever it stands', ([, name]) => {
  for (const identity of [
    { username: name },
    { uid: name },
    { groups: [name] },
    { extra: { key: [name] } },
    { extra: { [name]: ['value'] } },
  ]) {
    expect(() => guardIdentity(user(identity), NOBODY)).toThrow(
      expect.objectContaining({
        code: 403,
        message: expect.stringMatching(/^[\x20-\x7e]*holds characters that do not show$/) as string,
      }),
    )
  }
})

test.for(['علی‌رضا', 'क्‍ष', 'Zoë', 'zoe\u0308', '李', '👩‍💻', 'ada@example.com', 'a b', "o'neil"])(
  'the name %s is let through as it is',
  (name) => {
    const identity = user({ username: name, groups: [name] })
    expect(guardIdentity(identity, NOBODY)).toMatchObject({
      username: name,
      groups: [name, 'system:authenticated'],
    })
  },
)

test('what the operator names passes, and nothing else', () => {
  const allowed = { users: ['system:serviceaccount:ci:runner'], groups: ['system:ci'] }
  const identity = user({ username: 'system:serviceaccount:ci:runner', groups: ['system:ci'] })
  expect(guardIdentity(identity, allowed).groups).toContain('system:ci')
  expect(() => guardIdentity(user({ groups: ['system:masters'] }), allowed)).toThrow('reserved')
})

test('look-alikes are ordinary names', () => {
  const identity = user({ username: 'xsystem:a', groups: ['my-system:b', 'systems'] })
  expect(guardIdentity(identity, NOBODY).username).toBe('xsystem:a')
})
