import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { formatRequestHead } from '../../../src/upstream/http1/request-head.ts'

const HOST = ['host', 'api:6443'] as const
const format = (parts: Partial<Parameters<typeof formatRequestHead>[0]>): string =>
  formatRequestHead({ method: 'GET', path: '/api', headers: HOST, ownHeaders: [], ...parts })

test('a head has the request line, the fields in order, those of the transport, and an empty line', () => {
  const headers = [...HOST, 'x-a', 'caf\xe9', 'impersonate-extra-a%2Fb', '']
  expect(format({ method: 'POST', headers, ownHeaders: ['content-length', '5'] })).toBe(
    'POST /api HTTP/1.1\r\nhost: api:6443\r\nx-a: caf\xe9\r\nimpersonate-extra-a%2Fb: \r\ncontent-length: 5\r\n\r\n',
  )
})

describe('a head is refused', () => {
  test.for([
    ['a method', { method: 'GET / HTTP/1.1\r\nx:' }],
    ['an empty method', { method: '' }],
    ['a space in the path', { path: '/a HTTP/1.1' }],
    ['a line break in the path', { path: '/a\r\nx: y' }],
    ['another form of target', { path: 'http://other/' }],
    ['a byte above ASCII in the path', { path: '/\xe9' }],
    ['a name with a colon', { headers: [...HOST, 'x: y', 'z'] }],
    ['a name with a line break', { headers: [...HOST, 'x\r\ny', 'z'] }],
    ['an empty name', { headers: [...HOST, '', 'z'] }],
    ['a value with a line break', { headers: [...HOST, 'x', 'a\r\nb: c'] }],
    ['a value with a bare LF', { headers: [...HOST, 'x', 'a\nb: c'] }],
    ['a value with a NUL', { headers: [...HOST, 'x', 'a\0'] }],
    ['a value beyond latin1', { headers: [...HOST, 'x', '\u010a'] }],
    ['such a value of the transport', { ownHeaders: ['x', '\r'] }],
  ] as const)('for %s', ([, parts]) => {
    expect(() => format(parts)).toThrow(expect.objectContaining({ code: 400 }) as Error)
  })

  test.for([
    ...['connection', 'content-length', 'expect', 'http2-settings', 'keep-alive'],
    ...['proxy-connection', 'te', 'trailer', 'transfer-encoding', 'Transfer-Encoding', 'upgrade'],
  ])('for %s among the forwarded fields', (name) => {
    expect(() => format({ headers: [...HOST, name, 'x'] })).toThrow(
      expect.objectContaining({ code: 500 }) as Error,
    )
  })
})

test('whatever the parts are, a head has exactly as many lines as fields', () => {
  const characters = fc.array(fc.nat({ max: 0x1ff }), { maxLength: 6 })
  const part = fc.oneof(
    characters.map((codes) => String.fromCharCode(...codes)),
    fc.constantFrom('\r\n', 'a', ':'),
  )
  fc.assert(
    fc.property(
      part,
      part,
      fc.array(fc.tuple(part, part), { maxLength: 4 }),
      (method, path, pairs) => {
        const headers = [...HOST, ...pairs.flat()]
        let head: string
        try {
          head = format({ method, path: `/${path}`, headers })
        } catch {
          return
        }
        const lines = head.split('\r\n')
        expect(lines).toHaveLength(1 + headers.length / 2 + 2)
        expect(lines.slice(-2)).toEqual(['', ''])
        expect(head.replaceAll('\r\n', '')).not.toMatch(/[\r\n\0]/)
      },
    ),
  )
})
