import { expect, test } from 'vitest'

import { bearerToken, webSocketToken } from '../../src/authentication/bearer.ts'

const carrier = (token: string) =>
  `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString('base64url')}`

test.for([
  ['Bearer abc', 'abc'],
  ['bearer abc', 'abc'],
  ['BEARER a.b.c', 'a.b.c'],
])('%s holds the token %s', ([header, token]) => {
  expect(bearerToken(header)).toBe(token)
})

test('a request without the header does not have a token', () => {
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
])('the Authorization header "%s" is refused', (header) => {
  expect(() => bearerToken(header)).toThrow('Unauthorized')
})

test('a token among the subprotocols is read from one field line or several', () => {
  expect(webSocketToken([`v5.channel.k8s.io, ${carrier('tökén')}`])).toBe('tökén')
  expect(webSocketToken(['v5.channel.k8s.io', carrier('t')])).toBe('t')
  expect(webSocketToken(['v5.channel.k8s.io'])).toBeUndefined()
  expect(webSocketToken([])).toBeUndefined()
})

test('whitespace around a subprotocol is space and tab only, as in HTTP', () => {
  expect(webSocketToken([`\t a ,\t ${carrier('t')} \t`])).toBe('t')
  for (const blank of ['\u00a0', '\v', '\f', '\ufeff', '\u2003']) {
    expect(webSocketToken([`a, ${blank}${carrier('t')}`])).toBeUndefined()
    expect(() => webSocketToken([`a, ${carrier('t')}${blank}`])).toThrow('Unauthorized')
  }
})

test.for([
  { name: 'that is the only subprotocol', values: [carrier('t')] },
  { name: 'beside another token', values: ['v5.channel.k8s.io', carrier('a'), carrier('b')] },
  { name: 'that is empty', values: ['a', 'base64url.bearer.authorization.k8s.io.'] },
  { name: 'with padding', values: ['a', 'base64url.bearer.authorization.k8s.io.YQ=='] },
  {
    name: 'in the alphabet of plain base64',
    values: ['a', 'base64url.bearer.authorization.k8s.io.+/+/'],
  },
  { name: 'with unused bits set', values: ['a', 'base64url.bearer.authorization.k8s.io.YR'] },
  { name: 'that is not UTF-8', values: ['a', 'base64url.bearer.authorization.k8s.io._w'] },
])('a subprotocol token $name is refused', ({ values }) => {
  expect(() => webSocketToken(values)).toThrow('Unauthorized')
})
