import 'reflect-metadata'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type TLSSocket } from 'node:tls'
import * as x509 from '@peculiar/x509'
import { describe, expect, test } from 'vitest'
import { createAuthority, createKeyPair, loadAuthority, type KeyPair } from '../../certs-dev/pki.ts'

/** Runs one TLS 1.3 handshake and returns what each side learns about the other. */
async function handshake(options: {
  server: KeyPair
  client: KeyPair
  serverCa: string
  clientCa: string
  host: string
  crl?: string
}): Promise<{ clientError?: string; peer?: TLSSocket; serverError?: string }> {
  const server = createServer({
    cert: options.server.certificatePem,
    key: options.server.keyPem,
    ca: options.clientCa,
    requestCert: true,
    rejectUnauthorized: false,
    ...(options.crl === undefined ? {} : { crl: options.crl }),
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>
  accepted.catch(() => undefined)
  const client = connect({
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    servername: options.host,
    ca: options.serverCa,
    cert: options.client.certificatePem,
    key: options.client.keyPem,
  })
  try {
    await once(client, 'secureConnect')
    const [peer] = await accepted
    // A getter of the server's socket: null if the certificate was verified.
    const reason = peer.authorizationError as unknown as string | null
    peer.destroy()
    return { peer, ...(reason === null ? {} : { serverError: reason }) }
  } catch (error) {
    return { clientError: (error as NodeJS.ErrnoException).code ?? String(error) }
  } finally {
    client.destroy()
    server.close()
  }
}

describe('certificates of an authority', async () => {
  const serving = await createAuthority({ commonName: 'serving' })
  const users = await createAuthority({ commonName: 'users' })
  const server = await serving.issue({
    commonName: 'gatehouse',
    dnsNames: ['gatehouse.example'],
    ipAddresses: ['127.0.0.1', '::1'],
    usages: ['server'],
  })
  const client = await users.issue({ commonName: 'ada', usages: ['client'] })
  const base = {
    server,
    client,
    serverCa: serving.certificatePem,
    clientCa: users.certificatePem,
    host: 'gatehouse.example',
  }

  test('both sides of a handshake verify each other', async () => {
    const seen = await handshake(base)
    expect(seen).toEqual({ peer: expect.anything() as unknown })
  })

  test('the client refuses another host name', async () => {
    const seen = await handshake({ ...base, host: 'other.example' })
    expect(seen.clientError).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
  })

  test('either side refuses a certificate of another authority', async () => {
    const seen = await handshake({ ...base, serverCa: users.certificatePem })
    expect(seen.clientError).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE')
    const foreign = await serving.issue({ commonName: 'ada', usages: ['client'] })
    expect((await handshake({ ...base, client: foreign })).serverError).toMatch(
      /^UNABLE_TO_|^SELF_SIGNED_/,
    )
  })

  test('a certificate with the wrong usage or outside its validity is refused', async () => {
    const wrongUsage = await users.issue({ commonName: 'ada', usages: ['server'] })
    expect((await handshake({ ...base, client: wrongUsage })).serverError).toBe('INVALID_PURPOSE')
    const past = await users.issue({
      commonName: 'ada',
      usages: ['client'],
      notAfter: new Date(Date.now() - 1000),
    })
    expect((await handshake({ ...base, client: past })).serverError).toBe('CERT_HAS_EXPIRED')
    const future = await users.issue({
      commonName: 'ada',
      usages: ['client'],
      notBefore: new Date(Date.now() + 60_000),
    })
    expect((await handshake({ ...base, client: future })).serverError).toBe('CERT_NOT_YET_VALID')
  })

  test('a certificate in the revocation list is refused, another one is not', async () => {
    const crl = await users.revoke([client.certificatePem])
    expect((await handshake({ ...base, crl })).serverError).toBe('CERT_REVOKED')
    const other = await users.issue({ commonName: 'grace', usages: ['client'] })
    expect(await handshake({ ...base, crl, client: other })).not.toHaveProperty('serverError')
  })

  test('a certificate of an intermediate is verified through it', async () => {
    const intermediate = await users.createIntermediate({ commonName: 'team' })
    const leaf = await intermediate.issue({ commonName: 'ada', usages: ['client'] })
    const chained = { ...leaf, certificatePem: leaf.certificatePem + intermediate.certificatePem }
    expect(await handshake({ ...base, client: chained })).not.toHaveProperty('serverError')
    expect(await handshake({ ...base, client: leaf })).toHaveProperty('serverError')
  })

  test('an authority that is loaded from its files issues valid certificates', async () => {
    const again = await loadAuthority(users)
    const leaf = await again.issue({ commonName: 'ada', usages: ['client'] })
    expect(await handshake({ ...base, client: leaf })).not.toHaveProperty('serverError')
  })
})

test('the subject has every organization, unchanged, then the name and the UID', async () => {
  const authority = await createAuthority({ commonName: 'users' })
  const { certificatePem } = await authority.issue({
    commonName: 'grüße, "ada"',
    organizations: ['system:x', 'a,b+c', '#0c01', ' padded '],
    uid: '7f1e',
    usages: ['client'],
  })
  const { subject } = new X509Certificate(certificatePem)
  expect(subject.split('\n')).toEqual([
    'O=system:x',
    'O=a\\,b\\+c',
    'O=\\#0c01',
    'O=\\ padded\\ ',
    'CN=grüße\\, \\"ada\\"',
    '1.3.6.1.4.1.57683.2=7f1e',
  ])
})

test('the issuer equals the subject of the authority byte by byte, as Go requires', async () => {
  const authority = await createAuthority({ commonName: 'Users of grüße' })
  const intermediate = await authority.createIntermediate({ commonName: 'team' })
  const leaf = await intermediate.issue({ commonName: 'ada', usages: ['client'] })
  const crl = await authority.revoke([leaf.certificatePem])
  const subject = ({ certificatePem }: KeyPair) =>
    new x509.X509Certificate(certificatePem).subjectName.toArrayBuffer()
  const issuer = ({ certificatePem }: KeyPair) =>
    new x509.X509Certificate(certificatePem).issuerName.toArrayBuffer()
  expect(issuer(leaf)).toEqual(subject(intermediate))
  expect(issuer(intermediate)).toEqual(subject(authority))
  const der = Buffer.from(crl.replaceAll(/-----.*-----|\s/g, ''), 'base64')
  expect(der.includes(Buffer.from(subject(authority)))).toBe(true)
})

test('an invalid IP address is refused', async () => {
  const authority = await createAuthority({ commonName: 'x' })
  const issue = authority.issue({ commonName: 'x', ipAddresses: ['localhost'], usages: [] })
  await expect(issue).rejects.toThrow('"localhost" is not an IP address')
})

test('a key pair is a public and a private key in PEM', async () => {
  const { publicKeyPem, keyPem } = await createKeyPair()
  expect(publicKeyPem).toMatch(/^-----BEGIN PUBLIC KEY-----\n/)
  expect(keyPem).toMatch(/^-----BEGIN PRIVATE KEY-----\n/)
})
