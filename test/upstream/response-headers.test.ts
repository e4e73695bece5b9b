import { describe, expect, test } from 'vitest'

import { StatusError } from '../../src/status.ts'
import { checkResponse, responseHeaders } from '../../src/upstream/response-headers.ts'

test('hop-by-hop fields, cookies and alternative services are dropped; other fields are forwarded', () => {
  expect(
    responseHeaders(
      {
        'content-type': 'application/json',
        'audit-id': 'theirs',
        connection: 'close, X-Hop',
        'x-hop': '1',
        'transfer-encoding': 'chunked',
        'alt-svc': 'h3=":443"',
        'set-cookie': ['a=b'],
        'strict-transport-security': 'max-age=1',
        warning: ['299 - "a"', '299 - "b"'],
        ':status': '200',
      },
      ['Audit-ID', 'ours'],
    ),
  ).toEqual([
    'Audit-ID',
    'ours',
    'content-type',
    'application/json',
    'warning',
    '299 - "a"',
    'warning',
    '299 - "b"',
  ])
})

test('the first value of a repeated single-value field is forwarded; lists are forwarded whole', () => {
  expect(
    responseHeaders(
      { 'content-type': ['a/b', 'c/d'], 'content-encoding': ['gzip', 'br'], vary: ['a', 'b'] },
      [],
    ),
  ).toEqual(['content-type', 'a/b', 'content-encoding', 'gzip, br', 'vary', 'a', 'vary', 'b'])
})

test.for([
  {
    what: 'field names',
    headers: Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`x${i}`, ''])),
  },
  { what: 'field values', headers: { warning: Array.from({ length: 257 }, () => '') } },
])('a response with more than 256 $what is refused', ({ headers }) => {
  expect(() => responseHeaders(headers, [])).toThrow(
    expect.objectContaining({ reason: 'BadGateway' }),
  )
})

describe('a response', () => {
  test.for([
    { status: 302, location: 'https://evil.example/' },
    { status: 301, location: '//evil.example/' },
    { status: 307, location: '/\\evil.example/' },
    { status: 308, location: 'http:evil' },
    { status: 303, location: '/ok\r\nSet-Cookie: a' },
    { status: 401, location: undefined },
    { status: 407, location: undefined },
    { status: 0, location: undefined },
    { status: 999, location: undefined },
    { status: 101, location: undefined },
  ])('with status $status and location $location is refused', ({ status, location }) => {
    expect(() => checkResponse(status, { location }, false)).toThrow(StatusError)
  })

  test.for([
    { status: 200, location: undefined, isConnect: false },
    { status: 301, location: '/api/v1/namespaces/a/services/b/proxy/', isConnect: true },
    { status: 304, location: undefined, isConnect: false },
    { status: 401, location: undefined, isConnect: true },
    { status: 407, location: undefined, isConnect: true },
    { status: 201, location: 'https://anywhere/', isConnect: false },
  ])(
    'with status $status and location $location is relayed (proxy subresource: $isConnect)',
    ({ status, location, isConnect }) => {
      expect(() => checkResponse(status, { location }, isConnect)).not.toThrow()
    },
  )
})
