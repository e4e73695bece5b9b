import { expect, test } from 'vitest'

import { requestedUser } from '../../src/impersonation/requested-user.ts'

const ADA = { username: 'ada', uid: '', groups: [], extra: {} }

test.for<readonly [what: string, headers: string[], user: object | undefined]>([
  ['no header', ['Accept', '*/*'], undefined],
  ['an empty user alone', ['Impersonate-User', ''], undefined],
  ['an empty user with an empty uid', ['Impersonate-User', '', 'Impersonate-Uid', ''], undefined],
  ['a user', ['impersonate-USER', 'ada'], ADA],
  [
    'groups, one in each header, where a comma is a part of the name',
    ['Impersonate-User', 'ada', 'Impersonate-Group', 'a,b', 'Impersonate-Group', 'c'],
    { ...ADA, groups: ['a,b', 'c'] },
  ],
  ['a uid', ['Impersonate-User', 'ada', 'Impersonate-Uid', '7'], { ...ADA, uid: '7' }],
  [
    'an extra whose key is in lower case and then unescaped',
    ['Impersonate-User', 'ada', 'Impersonate-Extra-Acme.com%2FReason', 'x'],
    { ...ADA, extra: { 'acme.com/reason': ['x'] } },
  ],
  [
    'two spellings of one key, whose values are joined',
    ['Impersonate-User', 'ada', 'Impersonate-Extra-a%2fb', '1', 'Impersonate-Extra-A%2Fb', '2'],
    { ...ADA, extra: { 'a/b': ['1', '2'] } },
  ],
  [
    'an extra whose key has a malformed escape',
    ['Impersonate-User', 'ada', 'Impersonate-Extra-%zz', 'x'],
    { ...ADA, extra: { '%zz': ['x'] } },
  ],
  [
    'an extra with the name of a member of every object',
    ['Impersonate-User', 'ada', 'Impersonate-Extra-__proto__', 'x'],
    { ...ADA, extra: Object.fromEntries([['__proto__', ['x']]]) as object },
  ],
  [
    'a name in UTF-8',
    ['Impersonate-User', Buffer.from('Zoë').toString('latin1')],
    { ...ADA, username: 'Zoë' },
  ],
])('%s is read as kube-apiserver reads it', ([, headers, user]) => {
  expect(requestedUser(headers)).toEqual(user)
})

test.for<readonly [what: string, headers: string[], message: string]>([
  ['a group without a user', ['Impersonate-Group', 'a'], 'without a user: add --as'],
  ['a uid without a user', ['Impersonate-Uid', '7'], 'without a user'],
  ['an extra without a user', ['Impersonate-Extra-a', 'x'], 'without a user'],
  [
    'a group with an empty user',
    ['Impersonate-User', '', 'Impersonate-Group', 'a'],
    'without a user',
  ],
  [
    'a second user',
    ['Impersonate-User', 'ada', 'impersonate-user', 'root'],
    'Impersonate-User is sent more than once',
  ],
  [
    'a user after an empty one',
    ['Impersonate-User', '', 'Impersonate-User', 'root'],
    'Impersonate-User is sent more than once',
  ],
  [
    'a second uid',
    ['Impersonate-User', 'ada', 'Impersonate-Uid', '1', 'Impersonate-Uid', '2'],
    'Impersonate-Uid is sent more than once',
  ],
  ['an empty group', ['Impersonate-User', 'ada', 'Impersonate-Group', ''], 'is empty'],
  ['an empty extra', ['Impersonate-User', 'ada', 'Impersonate-Extra-a', ''], 'is empty'],
  ['an extra without a key', ['Impersonate-User', 'ada', 'Impersonate-Extra-', 'x'], 'is empty'],
  ['an unknown header', ['Impersonate-Foo', 'x'], 'unknown header "impersonate-foo"'],
  ['an underscore', ['Impersonate_User', 'root'], 'unknown header "impersonate_user"'],
  [
    'an underscore beside a user',
    ['Impersonate-User', 'ada', 'Impersonate_Group', 'root'],
    'unknown header "impersonate_group"',
  ],
  ['a value that is not UTF-8', ['Impersonate-User', '\u00ff'], 'is not UTF-8'],
])('%s is refused', ([, headers, message]) => {
  expect(() => requestedUser(headers)).toThrow(
    expect.objectContaining({ code: 400, message: expect.stringContaining(message) as string }),
  )
})
