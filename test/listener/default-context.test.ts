/**
 * Node has no public way to set the TLS context for clients without a server name: `setSecureContext` ignores
 * `allowPartialTrustChain`. These tests notice when a version of Node moves or ignores its own property, or
 * makes it unnecessary.
 */
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { connect, createSecureContext } from 'node:tls'

import { beforeAll, expect, onTestFinished, test } from 'vitest'

import { createAuthority, type Authority, type KeyPair } from '../../certs-dev/pki.ts'
import { setDefaultContext } from '../../src/listener/accept.ts'

let team: Authority
let serving: KeyPair
let ada: KeyPair

beforeAll(async () => {
  const root = await createAuthority({ commonName: 'root' })
  team = await root.createIntermediate({ commonName: 'team' })
  serving = await root.issue({
    commonName: 'server',
    ipAddresses: ['127.0.0.1'],
    usages: ['server'],
  })
  ada = await team.issue({ commonName: 'ada', usages: ['client'] })
})

/** Whether a server accepts ada's certificate, whose CA is only an intermediate; the client sends no name. */
async function isAuthorized(prepare: (server: Server) => void): Promise<boolean> {
  const server = createServer({ requestCert: true, rejectUnauthorized: false, ...tlsOptions() })
  prepare(server)
  server.listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const client = connect({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    cert: ada.certificatePem,
    key: ada.keyPem,
  })
  const [socket] = (await once(server, 'secureConnection')) as [{ authorized: boolean }]
  client.destroy()
  return socket.authorized
}

const tlsOptions = () => ({
  cert: serving.certificatePem,
  key: serving.keyPem,
  ca: team.certificatePem,
  allowPartialTrustChain: true,
})

test('the context that is set judges a client without a server name', async () => {
  const context = createSecureContext(tlsOptions())
  expect(await isAuthorized((server) => setDefaultContext(server, context))).toBe(true)
})

test('the public ways do not take the option, or the private one can go', async () => {
  expect(await isAuthorized(() => undefined)).toBe(false)
  expect(await isAuthorized((server) => server.setSecureContext(tlsOptions()))).toBe(false)
})

test('a server without such a property is refused', () => {
  const context = createSecureContext()
  expect(() => setDefaultContext(Object.create(null) as Server, context)).toThrow(
    'this version of Node has no default TLS context that can be set',
  )
})
