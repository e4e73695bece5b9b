import { expect, test } from 'vitest'

import { bearerToken, webSocketToken } from '../../src/authentication/bearer.ts'

const carrier = (token: string) =>
  `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString('base64url')}`

test.for([
  ['Bearer abc', 'abc'],
  ['bearer abc', 'abc'],
  ['BEARER a.b.c', 'a.b.c'],
])('%s is the token %s', ([header, token]) => {
  expect(bearerToken(header)).toBe(token)
})

test('no header is no token', () => {
  expect(bearerToken(undefined)).toBeUndefined()
})

test.for([
  'foo',
  'bearer',
  'Bearer ',
  'Bearer  abc',
  'bearertoken',
  'Bearer a b',
  'Basic YTpi',
  'Bearer\tabc',
  '',
])('"%s" is a bad credential', (header) => {
  expect(() => bearerToken(header)).toThrow('Unauthorized')
})

test('a token among the subprotocols is found, in one header or several', () => {
  expect(webSocketToken([`v5.channel.k8s.io, ${carrier('tökén')}`])).toBe('tökén')
  expect(webSocketToken(['v5.channel.k8s.io', carrier('t')])).toBe('t')
  expect(webSocketToken(['v5.channel.k8s.io'])).toBeUndefined()
  expect(webSocketToken([])).toBeUndefined()
})

test.for([
  { name: 'alone', values: [carrier('t')] },
  { name: 'twice', values: ['v5.channel.k8s.io', carrier('a'), carrier('b')] },
  { name: 'empty', values: ['a', 'base64url.bearer.authorization.k8s.io.'] },
  { name: 'padded', values: ['a', 'base64url.bearer.authorization.k8s.io.YQ=='] },
  { name: 'of another alphabet', values: ['a', 'base64url.bearer.authorization.k8s.io.+/+/'] },
  { name: 'with bits left over', values: ['a', 'base64url.bearer.authorization.k8s.io.YR'] },
  { name: 'not UTF-8', values: ['a', 'base64url.bearer.authorization.k8s.io._w'] },
])('a token $name is a bad credential', ({ values }) => {
  expect(() => webSocketToken(values)).toThrow('Unauthorized')
})
