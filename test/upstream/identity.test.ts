import { expect, test } from 'vitest'

import { StatusError } from '../../src/status.ts'
import {
  createIdentityWriter,
  escapeExtraKey,
  identityHeaders,
  IMPERSONATION,
} from '../../src/upstream/identity.ts'

const user = (more: object) => ({ username: 'ada', uid: '', groups: [], extra: {}, ...more })

test('every value has its own header, and extra keys are escaped as in client-go', () => {
  const headers = identityHeaders(
    user({ uid: 'u-1', groups: ['a,b', 'c'], extra: { 'iam.gke.io/x': ['1', '2'] } }),
    IMPERSONATION,
  )
  expect(headers).toEqual([
    'impersonate-user',
    'ada',
    'impersonate-uid',
    'u-1',
    'impersonate-group',
    'a,b',
    'impersonate-group',
    'c',
    'impersonate-extra-iam.gke.io%2Fx',
    '1',
    'impersonate-extra-iam.gke.io%2Fx',
    '2',
  ])
})

test.for([
  ['scopes', 'scopes'],
  ['a/b', 'a%2Fb'],
  ['100%', '100%25'],
  ['ünicode', '%C3%BCnicode'],
  ['a b:c', 'a%20b%3Ac'],
  ['UPPER', '%55%50%50%45%52'],
])('extra key %s is written as %s', ([key, escaped]) => {
  expect(escapeExtraKey(key!)).toBe(escaped)
})

test('names outside ASCII are sent as UTF-8 bytes', () => {
  expect(identityHeaders(user({ username: 'jürgen' }), IMPERSONATION)[1]).toBe('j\u00c3\u00bcrgen')
})

test.for(['', ' ada', 'ada ', '\tada', 'ada\u00a0', 'a\nb', 'a\rb', 'a\0b', 'a\u0085b', '\ud800'])(
  'the username %j, which a header writer or reader would change, is refused',
  (username) => {
    expect(() => identityHeaders(user({ username }), IMPERSONATION)).toThrow(StatusError)
  },
)

test('a group with surrounding spaces is refused, not dropped', () => {
  expect(() => identityHeaders(user({ groups: [' system:masters'] }), IMPERSONATION)).toThrow(
    StatusError,
  )
})

test('the same user object gets the same headers', () => {
  const write = createIdentityWriter(IMPERSONATION)
  const ada = user({})
  expect(write(ada)).toBe(write(ada))
})
