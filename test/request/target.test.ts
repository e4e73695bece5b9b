import { describe, expect, test } from 'vitest'
import { MAX_QUERY_PARAMETERS, MAX_TARGET_LENGTH, parseTarget } from '../../src/request/target.ts'
import { refusal } from './refusal.ts'

describe('an accepted target', () => {
  test.for([
    { raw: '/', path: '/', rawQuery: '' },
    { raw: '/?', path: '/', rawQuery: '' },
    { raw: '/api/v1/pods', path: '/api/v1/pods', rawQuery: '' },
    { raw: '/api/v1/pods/', path: '/api/v1/pods/', rawQuery: '' },
    { raw: '/api/v1/pods?watch=1', path: '/api/v1/pods', rawQuery: 'watch=1' },
    { raw: '/api/v1/pods?a=b?c=/d', path: '/api/v1/pods', rawQuery: 'a=b?c=/d' },
    { raw: '/api/v1/pods?&&', path: '/api/v1/pods', rawQuery: '&&' },
    { raw: '/x/system:node', path: '/x/system:node', rawQuery: '' },
    { raw: '/x/system%3Anode', path: '/x/system:node', rawQuery: '' },
    { raw: "/x/!$&'()*+,=:@", path: "/x/!$&'()*+,=:@", rawQuery: '' },
    { raw: '/x/%21%24%26%27%28%29%2A%2B%2C%3D%40', path: "/x/!$&'()*+,=@", rawQuery: '' },
    { raw: '/x/a%20b%5B1%5D', path: '/x/a b[1]', rawQuery: '' },
    { raw: '/x/%C3%A9%F0%9F%98%80', path: '/x/é😀', rawQuery: '' },
    { raw: '/x/...', path: '/x/...', rawQuery: '' },
    { raw: '/x/..a/.b/c..', path: '/x/..a/.b/c..', rawQuery: '' },
    { raw: '/x?c=a%0Ab%09%3B%2e%2E', path: '/x', rawQuery: 'c=a%0Ab%09%3B%2e%2E' },
    { raw: '/x?c=%c3%a9&d=[`{|}^]', path: '/x', rawQuery: 'c=%c3%a9&d=[`{|}^]' },
  ])('$raw is split into $path and $rawQuery', ({ raw, path, rawQuery }) => {
    expect(parseTarget('GET', raw)).toEqual({ raw, path, rawQuery })
  })

  test('may be as long as the limit', () => {
    const raw = `/${'a'.repeat(MAX_TARGET_LENGTH - 1)}`
    expect(parseTarget('GET', raw).path).toBe(raw)
  })

  test('may have as many parameters as Go reads', () => {
    const rawQuery = '&'.repeat(MAX_QUERY_PARAMETERS - 1)
    expect(parseTarget('GET', `/x?${rawQuery}`).rawQuery).toBe(rawQuery)
  })

  test.for(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])(
    'may have the method %s',
    (method) => {
      expect(parseTarget(method, '/x').path).toBe('/x')
    },
  )
})

describe('parseTarget refuses with 400', () => {
  test.for([
    // Forms other than origin-form.
    { target: '', because: 'it is empty' },
    { target: '*', because: 'asterisk-form' },
    { target: 'http://evil/api/v1/secrets', because: 'absolute-form' },
    { target: 'HTTPS://evil/api/v1/secrets', because: 'absolute-form' },
    { target: 'foo:/api/v1/secrets', because: 'must begin with "/"' },
    { target: 'api/v1/secrets', because: 'must begin with "/"' },
    { target: '?watch=1', because: 'must begin with "/"' },
    { target: 'evil:443', because: 'must begin with "/"' },
    { target: '\\api', because: 'must begin with "/"' },
    // Empty segments.
    { target: '//api/v1/pods', because: 'empty segment' },
    { target: '///', because: 'empty segment' },
    { target: '/api//v1/pods', because: 'empty segment' },
    { target: '/api/v1/namespaces//pods', because: 'empty segment' },
    { target: '/api/v1/pods//', because: 'empty segment' },
    { target: '/api/v1/nodes//proxy/x?fieldSelector=metadata.name=n1', because: 'empty segment' },
    { target: '/api/v1/pods//exec?fieldSelector=metadata.name=p', because: 'empty segment' },
    // Dot segments.
    { target: '/.', because: 'segment "."' },
    { target: '/./api/v1/pods', because: 'segment "."' },
    { target: '/api/v1/./pods?x', because: 'segment "."' },
    { target: '/..', because: 'segment ".."' },
    { target: '/healthz/../api/v1/secrets', because: 'segment ".."' },
    { target: '/api/v1/namespaces/../secrets', because: 'segment ".."' },
    { target: '/api/v1/pods/..?x', because: 'segment ".."' },
    { target: '/api/v1/pods/%2e%2e/secrets', because: '%2e' },
    { target: '/api/v1/pods/.%2E/secrets', because: '%2E' },
    // Escapes that create or hide structure, or are unnecessary.
    { target: '/api/v1/namespaces/kube-system%2Fsecrets', because: '%2F' },
    { target: '/api/v1/namespaces/kube-system%2fsecrets', because: '%2f' },
    { target: '/api%2Fv1%2Fsecrets', because: '%2F' },
    { target: '/api/v1/namespaces/a/pods/foo%2Fexec', because: '%2F' },
    { target: '/api/v1/namespaces/a/pods/foo%252Fexec', because: '%25' },
    { target: '/api/v1/namespaces/a/pods/foo%5Cexec', because: '%5C' },
    { target: '/%61pi/v1/secrets', because: '%61' },
    { target: '/api/v1/namespaces/a/services/b/%70roxy', because: '%70' },
    { target: '/x/a%3Bb', because: '%3B' },
    { target: '/x/%3a', because: 'upper case' },
    { target: '/x/%c3%a9', because: 'upper case' },
    { target: '/x/%00', because: 'control character' },
    { target: '/x/%0A', because: 'control character' },
    { target: '/x/%7F', because: 'control character' },
    { target: '/x/%C2%85', because: 'control character' },
    { target: '/x/%FF', because: 'not UTF-8' },
    { target: '/x/%C3', because: 'not UTF-8' },
    { target: '/x/%C0%AF', because: 'not UTF-8' },
    { target: '/x/%ED%A0%80', because: 'not UTF-8' },
    { target: '/x/%zz', because: 'two hexadecimal digits' },
    { target: '/x/%4', because: 'two hexadecimal digits' },
    { target: '/x/%', because: 'two hexadecimal digits' },
    { target: '/x/%2?F', because: 'two hexadecimal digits' },
    // Bytes that must be escaped.
    { target: '/x\\y', because: 'contains an unescaped "\\\\"' },
    { target: '/x;y', because: 'contains an unescaped ";"' },
    { target: '/x#y', because: 'contains an unescaped "#"' },
    { target: '/api/v1/pods#?watch=1', because: 'contains an unescaped "#"' },
    { target: '/x|y', because: 'contains an unescaped "|"' },
    { target: '/x y', because: 'contains an unescaped " "' },
    { target: '/x\0', because: '0x00' },
    { target: '/x\r\nHost: evil', because: '0x0D' },
    { target: '/x\x7f', because: '0x7F' },
    { target: '/x\u00e9', because: '0xE9' },
    { target: '/x\u{1F600}', because: '0xD83D' },
    // The query.
    { target: '/x?a;b', because: 'the query contains an unescaped ";"' },
    { target: '/x?a#b', because: 'the query contains an unescaped "#"' },
    { target: '/x?a b', because: 'the query contains an unescaped " "' },
    { target: '/x?a"b', because: 'the query contains' },
    { target: '/x?a\\b', because: 'the query contains' },
    { target: '/x?a=\n', because: '0x0A' },
    { target: '/x?a=\u00ff', because: '0xFF' },
    { target: '/x?a=%', because: 'two hexadecimal digits' },
    { target: '/x?a=%zz', because: 'two hexadecimal digits' },
    { target: '/x?a=%0', because: 'two hexadecimal digits' },
    { target: '/x?a=%00', because: '%00' },
    { target: '/x?a=%FF', because: 'not UTF-8' },
    { target: '/x?%FF=a', because: 'not UTF-8' },
  ])('the target $target ($because)', ({ target, because }) => {
    const { code, message } = refusal(() => parseTarget('GET', target))
    expect(code).toBe(400)
    expect(message).toContain(because)
    expect(message).toMatch(/^[ -~]{1,200}$/)
  })

  test('a target longer than the limit', () => {
    const { code, message } = refusal(() => parseTarget('GET', `/${'a'.repeat(MAX_TARGET_LENGTH)}`))
    expect(code).toBe(400)
    expect(message).toContain('131072 bytes')
  })

  test('a query with more parameters than Go reads', () => {
    const { code } = refusal(() => parseTarget('GET', `/x?${'&'.repeat(MAX_QUERY_PARAMETERS)}`))
    expect(code).toBe(400)
  })

  test.for(['', 'get', 'Get', 'PROPFIND', 'GETX', 'GET ', '__proto__', 'G\u0000T'])(
    'the method %j',
    (method) => {
      const { code, message } = refusal(() => parseTarget(method, '/x'))
      expect(code).toBe(400)
      expect(message).toContain('unknown method')
    },
  )
})

test.for(['CONNECT', 'TRACE'])('%s is refused with 405 and the supported methods', (method) => {
  const error = refusal(() => parseTarget(method, 'evil:443'))
  expect(error.code).toBe(405)
  expect(error.headers).toEqual({ Allow: 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS' })
})
