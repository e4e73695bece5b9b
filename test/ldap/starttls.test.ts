/** StartTLS, with somebody between Gatehouse and the directory who adds plain text. */
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'

import { expect, onTestFinished, test } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'
import { connectServer } from '../../src/ldap/connection.ts'

/** LDAPMessages of RFC 4511: the ID of a message, and its operation. */
const TLS_ACCEPTED = Buffer.from('300c02010178070a010004000400', 'hex')
const BIND_REJECTED = Buffer.from('300c02010161070a013104000400', 'hex')
/** A successful bind, whose diagnostic message is the rejection, which is still to come. */
const FORGED = Buffer.from('301a02010161150a01000400040e', 'hex')

/** A directory that rejects every password; `injected` comes in plain text behind its response to StartTLS. */
async function startServer(injected: Buffer) {
  const authority = await createAuthority({ commonName: 'directories' })
  const { certificatePem: cert, keyPem: key } = await authority.issue({
    commonName: 'directory',
    ipAddresses: ['127.0.0.1'],
    usages: ['server'],
  })
  const secureContext = createSecureContext({ cert, key })
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.once('data', () => {
      socket.write(Buffer.concat([TLS_ACCEPTED, injected]))
      const secure = new TLSSocket(socket, { isServer: true, secureContext })
      secure.on('error', () => secure.destroy())
      secure.once('data', () => secure.write(BIND_REJECTED))
    })
  })
  server.listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const options = { startTLS: true, timeout: 5_000 }
  const secrets = { ca: authority.certificatePem }
  const client = await connectServer(`ldap://127.0.0.1:${port}`, options, secrets)
  onTestFinished(() => client.close())
  return client
}

test('plain text behind the response to StartTLS is not part of a response under TLS', async () => {
  await expect(startServer(FORGED)).rejects.toThrow('the server sent what nothing asked for')
})

test('a password that the directory rejects is rejected', async () => {
  const client = await startServer(Buffer.alloc(0))
  await expect(client.bind('cn=ada', 'wrong')).rejects.toMatchObject({ code: 49 })
})
