/** The environment of the process names the proxy to the issuers. */
import { readFile, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { createAuthority, type Authority } from '../../certs-dev/pki.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { command } from '../support/command.ts'
import { startEgressProxy } from '../support/egress-proxy.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'

const main = resolve(import.meta.dirname, '../../src/main.ts')

let api: ApiServer
let site: TestGatehouse
let authority: Authority

beforeAll(async () => {
  api = await startApiServer()
  site = await startTestGatehouse({ upstream: upstreamOf(api) })
  await site.gatehouse.close(true)
  const file = site.file('authentication.yaml')
  const text = await readFile(file, 'utf8')
  await writeFile(file, text.replaceAll(site.issuer.url, 'https://issuer.test'))
  authority = await createAuthority({ commonName: 'proxies' })
  await writeFile(site.file('proxies.crt'), authority.certificatePem)
})

afterAll(async () => {
  await site.close()
  await api.close()
})

const validateOnline = (env: Readonly<Record<string, string>>) =>
  command(
    process.execPath,
    [main, 'validate', '--online', '--config', site.file('gatehouse.yaml')],
    {
      env: { PATH: process.env['PATH'], ...env },
    },
  )

test.for([
  ['http', 'HTTPS_PROXY'],
  ['https', 'https_proxy'],
] as const)('an %s proxy in %s is used', async ([scheme, name]) => {
  const tls =
    scheme === 'https'
      ? await authority.issue({ commonName: 'p', ipAddresses: ['127.0.0.1'], usages: ['server'] })
      : undefined
  const proxy = await startEgressProxy(0, tls)
  proxy.response = 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'
  const { code, stdout, stderr } = await validateOnline({
    [name]: `${scheme}://user:secret@127.0.0.1:${proxy.port}`,
    NODE_EXTRA_CA_CERTS: site.file('proxies.crt'),
  })
  await proxy.close()
  expect(stderr).toContain(
    '[-]jwks https://issuer.test failed: through the proxy ' +
      `${scheme}://127.0.0.1:${proxy.port} (HTTPS_PROXY): ` +
      'the proxy responded with 403\n',
  )
  expect(stderr).not.toContain('secret')
  expect(code).toBe(1)
  expect(proxy.requests[0]).toMatch(/^CONNECT issuer\.test:443 /)
  // The API server is never reached through it.
  expect(stdout).toContain('[+]upstream-reachable ok')
  expect(proxy.requests).toHaveLength(1)
})

test('a value that is not the URL of a proxy is a problem', async () => {
  const { code, stderr } = await validateOnline({ HTTPS_PROXY: 'socks5://user:secret@127.0.0.1:1' })
  expect(code).toBe(2)
  expect(stderr).toBe(
    'environment: HTTPS_PROXY: is not the URL of a proxy ' +
      '(write http://HOST:PORT or https://HOST:PORT, or unset it)\n1 problem in the configuration\n',
  )
})
