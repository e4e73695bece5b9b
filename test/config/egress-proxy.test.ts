import { describe, expect, test } from 'vitest'

import { createProxyFor, proxyFrom } from '../../src/config/egress-proxy.ts'

const PROXY = 'http://proxy.example:3128'

const through = (url: string, noProxy: string, httpsProxy = PROXY): string | undefined =>
  createProxyFor({ httpsProxy, noProxy })(new URL(url))?.href

test('without HTTPS_PROXY every connection is direct, whatever HTTP_PROXY says', () => {
  const environment = proxyFrom({ HTTP_PROXY: PROXY, http_proxy: PROXY, ALL_PROXY: PROXY })
  expect(createProxyFor(environment)(new URL('https://issuer.example'))).toBeUndefined()
})

test.for([
  [{ HTTPS_PROXY: 'a', NO_PROXY: 'b' }, 'a', 'b'],
  [{ https_proxy: 'a', no_proxy: 'b' }, 'a', 'b'],
  [{ HTTPS_PROXY: 'a', https_proxy: 'c', NO_PROXY: 'b', no_proxy: 'd' }, 'a', 'b'],
  [{ HTTPS_PROXY: '', https_proxy: 'c' }, 'c', ''],
  [{}, '', ''],
] as const)('of %j the upper case wins if it is not empty', ([env, httpsProxy, noProxy]) => {
  expect(proxyFrom(env)).toEqual({ httpsProxy, noProxy })
})

test.for([
  ['http://proxy.example:3128', 'http://proxy.example:3128/'],
  ['https://proxy.example', 'https://proxy.example/'],
  ['proxy.example:3128', 'http://proxy.example:3128/'],
  ['http://user:pass@proxy.example', 'http://user:pass@proxy.example/'],
  ['10.0.0.1:8080', 'http://10.0.0.1:8080/'],
] as const)('HTTPS_PROXY may be %s', ([value, proxy]) => {
  expect(through('https://issuer.example', '', value)).toBe(proxy)
})

test.for(['socks5://proxy.example', 'ftp://proxy.example', 'http://', 'http://a:b@c:port'])(
  'an HTTPS_PROXY of %j is a problem, which does not quote it',
  (httpsProxy) => {
    expect(() => createProxyFor({ httpsProxy, noProxy: '' })).toThrow(
      'environment: HTTPS_PROXY: is not the URL of a proxy ' +
        '(write http://HOST:PORT or https://HOST:PORT, or unset it)',
    )
  },
)

/** The expectations of golang.org/x/net/http/httpproxy (TestUseProxy), and more of each kind. */
describe('as in Go', () => {
  const NO_PROXY =
    'foobar.com, .barbaz.net, *.wild.example, ::1, [2001:db8::52:0:1]:443, 192.168.1.1:444, ' +
    '10.0.0.0/8, fd00::/8, 127.0.0.2, exact.example:8443, , :80, /8, 10.0.0.0/99, Upper.Example'

  test.for([
    ['localhost', false],
    ['127.0.0.1', false],
    ['127.9.9.9', false],
    ['[::1]', false],
    ['[::ffff:127.0.0.1]', false],
    ['barbaz.net', true],
    ['www.barbaz.net', false],
    ['foobar.com', false],
    ['www.foobar.com', false],
    ['foofoobar.com', true],
    ['foobar.com.evil.example', true],
    ['baz.com', true],
    ['localhost.net', true],
    ['local.localhost', true],
    ['wild.example', true],
    ['a.wild.example', false],
    ['[2001:db8::52:0:1]', false],
    ['[2001:db8::52:0:1]:444', true],
    ['[2001:db8::52:0:2]', true],
    ['192.168.1.1', true],
    ['192.168.1.1:444', false],
    ['10.1.2.3', false],
    ['11.1.2.3', true],
    ['[fd00::1]:8443', false],
    ['[fe00::1]', true],
    ['exact.example', true],
    ['exact.example:8443', false],
    ['sub.exact.example:8443', false],
    ['upper.example', false],
  ] as const)('%s: through the proxy: %s', ([host, isProxied]) => {
    expect(through(`https://${host}/`, NO_PROXY)).toBe(isProxied ? `${PROXY}/` : undefined)
  })

  test('a NO_PROXY with * is for everything', () => {
    expect(through('https://issuer.example', 'other.example, *')).toBeUndefined()
  })
})
