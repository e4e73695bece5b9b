/** A connection to a directory that ends, with somebody between who can end connections. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:tls'

import { expect, onTestFinished, test } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'
import { openDirectory } from '../../src/ldap/connection.ts'

/** LDAPMessage of RFC 4511 with ID 1: a bind that succeeds. */
const BOUND = Buffer.from('300c02010161070a010004000400', 'hex')

test('is not opened again without its bind: an anonymous search may find fewer groups', async () => {
  const authority = await createAuthority({ commonName: 'directories' })
  const { certificatePem: cert, keyPem: key } = await authority.issue({
    commonName: 'directory',
    ipAddresses: ['127.0.0.1'],
    usages: ['server'],
  })
  let connections = 0
  let ended = false
  const server = createServer({ cert, key }, (socket) => {
    connections++
    socket.on('error', () => socket.destroy())
    socket.once('close', () => (ended = true))
    socket.once('data', () => socket.end(BOUND))
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const url = `ldaps://127.0.0.1:${(server.address() as AddressInfo).port}`
  const options = { servers: [url], startTLS: false, timeout: 5_000, bindDN: 'cn=gatehouse' }
  const secrets = { ca: authority.certificatePem, bindPassword: 'secret' }
  const { client } = await openDirectory(options, secrets)
  onTestFinished(() => client.close())
  await expect.poll(() => ended).toBe(true)
  const search = client.search({ baseDN: 'dc=example,dc=com', filter: '(cn=a)', attributes: [] })
  await expect(search.next()).rejects.toThrow('the server closed the connection')
  expect(connections).toBe(1)
})
