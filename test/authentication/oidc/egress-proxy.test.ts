/** Issuers behind an egress proxy: a real CONNECT proxy, which records what goes through. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { createAuthority, type Authority, type KeyPair } from '../../../certs-dev/pki.ts'
import type { IssuerProxy } from '../../../src/authentication/oidc/issuer-access.ts'
import {
  createJsonFetcher,
  ProxyTimeoutError,
  type JsonFetcher,
} from '../../../src/authentication/oidc/json-fetch.ts'
import { createKeySource, SYSTEM_TIMING } from '../../../src/authentication/oidc/jwks.ts'
import { UNKNOWN_CA_CODES } from '../../../src/cluster/error-origin.ts'
import { createProxyFor } from '../../../src/config/egress-proxy.ts'
import { createLog } from '../../../src/log.ts'
import { startEgressProxy, type EgressProxy } from '../../support/egress-proxy.ts'

const DOCUMENT = new URL('https://issuer.test/.well-known/openid-configuration')

let authority: Authority
let pair: KeyPair
let issuer: Server
let onRequest: RequestListener
let proxy: EgressProxy
let fetcher: JsonFetcher

beforeAll(async () => {
  authority = await createAuthority({ commonName: 'issuers' })
  pair = await authority.issue({
    commonName: 'issuer',
    dnsNames: ['issuer.test'],
    usages: ['server'],
  })
})

beforeEach(async () => {
  onRequest = (request, response) => response.end(JSON.stringify({ url: request.url }))
  issuer = createServer({ cert: pair.certificatePem, key: pair.keyPem }, (request, response) =>
    onRequest(request, response),
  )
  issuer.listen(0, '127.0.0.1')
  await once(issuer, 'listening')
  proxy = await startEgressProxy((issuer.address() as AddressInfo).port)
  fetcher = fetcherThrough(`http://127.0.0.1:${proxy.port}`)
})

afterEach(async () => {
  fetcher.close()
  issuer.closeAllConnections()
  issuer.close()
  await proxy.close()
})

interface Options {
  readonly noProxy?: string
  readonly certificateAuthority?: string
  readonly proxy?: IssuerProxy
}

function fetcherThrough(
  httpsProxy: string,
  { noProxy = '', certificateAuthority = authority.certificatePem, proxy }: Options = {},
): JsonFetcher {
  return createJsonFetcher({
    certificateAuthority,
    proxyFor: createProxyFor({ httpsProxy, noProxy }),
    proxy,
  })
}

const fetchDocument = (url = DOCUMENT, milliseconds = 10_000): Promise<unknown> =>
  fetcher.fetchJson(url, AbortSignal.timeout(milliseconds))

/** The message of the error, and the innermost code. */
async function failure(milliseconds?: number): Promise<{ message: string; code: string }> {
  const error = await fetchDocument(DOCUMENT, milliseconds).then(
    () => new Error('no error'),
    (reason: unknown) => reason as Error,
  )
  const { code = '' } = (error.cause ?? error) as { code?: string }
  return { message: error.message, code }
}

test('documents come through the proxy, which sees the name of the issuer and nothing else', async () => {
  expect(await fetchDocument()).toEqual({ url: DOCUMENT.pathname })
  expect(proxy.requests.map((head) => head.split('\r\n')[0])).toEqual([
    'CONNECT issuer.test:443 HTTP/1.1',
  ])
  expect(proxy.requests[0]).not.toMatch(/authorization/i)
  expect(proxy.tunneled.length).toBeGreaterThan(100)
  expect(proxy.tunneled).not.toContain('openid-configuration')
})

test('the port of the issuer is that of the tunnel', async () => {
  await fetchDocument(new URL('https://issuer.test:8443/keys'))
  expect(proxy.requests[0]).toMatch(/^CONNECT issuer\.test:8443 /)
})

test('a redirect on the origin goes through the proxy as well', async () => {
  onRequest = (request, response) => {
    if (request.url === '/keys') response.end('{"keys":[]}')
    else response.writeHead(302, { location: '/keys' }).end()
  }
  expect(await fetchDocument()).toEqual({ keys: [] })
  expect(proxy.requests).toHaveLength(2)
})

test('the certificate of the issuer is verified with its own CA', async () => {
  const { certificatePem } = await createAuthority({ commonName: 'others' })
  fetcher = fetcherThrough(`http://127.0.0.1:${proxy.port}`, {
    certificateAuthority: certificatePem,
  })
  expect([...UNKNOWN_CA_CODES]).toContain((await failure()).code)
})

test('the certificate of the issuer is verified for its name', async () => {
  const error = await fetchDocument(new URL('https://other.test/')).catch((e: unknown) => e)
  expect(((error as Error).cause as { code?: string }).code).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
})

test('an issuer in NO_PROXY is reached directly', async () => {
  fetcher = fetcherThrough(`http://127.0.0.1:${proxy.port}`, { noProxy: '.test' })
  await expect(fetchDocument()).rejects.toThrow(/ENOTFOUND|EAI_AGAIN/)
  expect(proxy.requests).toEqual([])
})

test('the proxy gets the credentials of its URL, and no message contains them', async () => {
  fetcher = fetcherThrough(`http://gate:s%40cret@127.0.0.1:${proxy.port}`)
  await fetchDocument()
  const basic = Buffer.from('gate:s@cret').toString('base64')
  expect(proxy.requests[0]).toMatch(new RegExp(`^proxy-authorization: Basic ${basic}\\r$`, 'im'))
  proxy.response = 'HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n'
  const { message } = await failure()
  expect(message).toBe(
    `through the proxy http://127.0.0.1:${proxy.port} (HTTPS_PROXY): the proxy responded with 407`,
  )
})

test.for([
  [
    'refuses',
    'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n',
    /the proxy responded with 403/,
  ],
  [
    'redirects',
    'HTTP/1.1 302 Found\r\nLocation: https://a\r\n\r\n',
    /the proxy responded with 302/,
  ],
  ['responds with a page', 'HTTP/1.1 204 No Content\r\n\r\n', /the proxy responded with 204/],
  [
    'is not a proxy',
    'SSH-2.0-OpenSSH\r\n',
    /through the proxy http:\/\/127\.0\.0\.1:\d+ \(HTTPS_PROXY\): /,
  ],
] as const)('a proxy that %s is named as the reason', async ([, response, message]) => {
  proxy.response = response
  expect((await failure()).message).toMatch(message)
})

test('a proxy that cannot be reached is named as the reason', async () => {
  await proxy.close()
  expect(await failure()).toEqual({
    message: expect.stringMatching(
      /^through the proxy http:\/\/127\.0\.0\.1:\d+ \(HTTPS_PROXY\): .*ECONNREFUSED/,
    ) as string,
    code: 'ECONNREFUSED',
  })
  proxy = await startEgressProxy(0)
})

test.for([
  ['the proxy', (): void => void (proxy.response = '')],
  ['the issuer behind the proxy', (): void => void (onRequest = () => undefined)],
  [
    'the issuer behind the proxy, in the middle of a document,',
    (): void => void (onRequest = (_request, response) => response.write('{"keys":')),
  ],
] as const)('if %s hangs, the timeout names the proxy', async ([, hang]) => {
  hang()
  const error = await fetchDocument(DOCUMENT, 1_000).catch((e: unknown) => e)
  expect(error).toBeInstanceOf(ProxyTimeoutError)
  expect((error as ProxyTimeoutError).proxy).toBe(
    `the proxy http://127.0.0.1:${proxy.port} (HTTPS_PROXY)`,
  )
})

test('the log line of a proxy that hangs names the proxy, without its credentials', async () => {
  proxy.response = ''
  const lines: string[] = []
  const source = createKeySource(
    { issuer: 'https://issuer.test', discoveryUrl: undefined, keyLifetime: 86_400_000 },
    {
      fetcher: fetcherThrough(`http://gate:s%40cret@127.0.0.1:${proxy.port}`),
      timing: { ...SYSTEM_TIMING, fetchTimeout: 500 },
      log: createLog({ level: 'info', destination: { write: (line) => lines.push(line) } }),
      onKeyDropped: () => undefined,
      onFetched: () => undefined,
      onCachedKeyUsed: () => undefined,
    },
  )
  await source.refetch()
  source.close()
  expect(JSON.parse(lines.join(''))).toMatchObject({
    msg: 'issuer keys could not be loaded',
    reason: `no response within 0.5 s through the proxy http://127.0.0.1:${proxy.port} (HTTPS_PROXY): it hangs, or the issuer does`,
  })
})

describe('a proxy of one issuer', () => {
  const own = (overrides: Partial<IssuerProxy> = {}): JsonFetcher =>
    fetcherThrough('http://127.0.0.1:1', {
      noProxy: '*',
      proxy: {
        url: `http://127.0.0.1:${proxy.port}`,
        certificateAuthority: undefined,
        credentials: undefined,
        ...overrides,
      },
    })

  test('takes the place of the one in the environment, whatever NO_PROXY says', async () => {
    fetcher = own()
    expect(await fetchDocument()).toEqual({ url: DOCUMENT.pathname })
    expect(proxy.requests[0]).toMatch(/^CONNECT issuer\.test:443 /)
    expect(proxy.requests[0]).not.toMatch(/authorization/i)
  })

  test('gets its credentials, and no message contains them', async () => {
    fetcher = own({ credentials: 'gate:s@cr:et' })
    await fetchDocument()
    const basic = Buffer.from('gate:s@cr:et').toString('base64')
    expect(proxy.requests[0]).toMatch(new RegExp(`^proxy-authorization: Basic ${basic}\\r$`, 'im'))
    proxy.response = 'HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n'
    expect((await failure()).message).toBe(
      `through the proxy http://127.0.0.1:${proxy.port} (authentication.issuers): the proxy responded with 407`,
    )
  })

  test('is verified by its own CA when it is reached over TLS', async () => {
    const proxies = await createAuthority({ commonName: 'proxies' })
    const serving = await proxies.issue({
      commonName: 'proxy',
      ipAddresses: ['127.0.0.1'],
      usages: ['server'],
    })
    await proxy.close()
    proxy = await startEgressProxy((issuer.address() as AddressInfo).port, serving)
    const url = `https://127.0.0.1:${proxy.port}`
    fetcher = own({ url, certificateAuthority: proxies.certificatePem })
    expect(await fetchDocument()).toEqual({ url: DOCUMENT.pathname })
    fetcher = own({ url })
    const { message, code } = await failure()
    expect([...UNKNOWN_CA_CODES]).toContain(code)
    expect(message).toContain(`through the proxy ${url} (authentication.issuers): `)
    // The CA of the issuer is not one for proxies.
    fetcher = own({ url, certificateAuthority: authority.certificatePem })
    expect([...UNKNOWN_CA_CODES]).toContain((await failure()).code)
  })
})

test('a document has a size limit through the proxy, too', async () => {
  onRequest = (_request, response) => response.end(`"${'x'.repeat(1_048_576)}"`)
  await expect(fetchDocument()).rejects.toThrow(/exceed/i)
})
