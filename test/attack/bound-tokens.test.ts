/**
 * Tokens that are bound to a self-signed certificate (RFC 8705): the certificate proves that the client has
 * the key, and is good for nothing else.
 */
import 'reflect-metadata'
import { X509Certificate, webcrypto } from 'node:crypto'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'

import * as x509 from '@peculiar/x509'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'

import { createAuthority, type KeyPair } from '../../certs-dev/pki.ts'
import { headerValues, startApiServer } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import { createClient } from '../support/client.ts'
import { replaceFile } from '../support/files.ts'

const PODS = '/api/v1/namespaces/d/pods'
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const ACCEPT = { authentication: { boundTokens: { selfSignedCertificates: 'accept' } } }

/** @param signer another key than that in the certificate: its names alone say that it is self-signed */
async function selfSigned(name = 'CN=client', signer?: CryptoKey): Promise<KeyPair> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.create({
    subject: name,
    issuer: name,
    publicKey: keys.publicKey,
    signingKey: signer ?? keys.privateKey,
    signingAlgorithm: ALGORITHM,
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 3_600_000),
  })
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return {
    certificatePem: certificate.toString('pem'),
    keyPem: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'),
  }
}

let attack: Attack

function tokenFor({ certificatePem }: KeyPair, sub = 'grace'): Promise<string> {
  const digest = new X509Certificate(certificatePem).fingerprint256.replaceAll(':', '')
  const cnf = { 'x5t#S256': Buffer.from(digest, 'hex').toString('base64url') }
  return attack.gatehouse.token({ sub, cnf })
}

async function get(certificate: KeyPair | undefined, token: string | undefined, http2 = false) {
  const client = createClient({
    ...{ url: attack.gatehouse.url, ca: attack.gatehouse.ca, http2 },
    ...(certificate === undefined ? {} : { certificate }),
    ...(token === undefined ? {} : { token }),
  })
  try {
    return await client.ask(PODS)
  } finally {
    await client.close()
  }
}

describe.each([{ without: [] }, { without: ['x509'] }] as const)(
  'where self-signed certificates are accepted, without $without',
  ({ without }) => {
    beforeAll(async () => {
      attack = await startAttack({ configuration: ACCEPT, without })
    })
    afterAll(async () => {
      await attack.expectNoSecretLeaked()
      await attack.close()
    })

    test.each([false, true])(
      'a token with the certificate that it is bound to is its user (HTTP/2: %s)',
      async (http2) => {
        const pair = await selfSigned('CN=admin,O=system:masters')
        const token = await tokenFor(pair)
        attack.keepSecret(token)
        const { value, received } = await attack.watching(() => get(pair, token, http2))
        expect(value.status).toBe(200)
        expect(headerValues(received[0]!, 'impersonate-user')).toEqual(['oidc:grace'])
        expect(headerValues(received[0]!, 'impersonate-group')).not.toContain('system:masters')
      },
    )

    test('a stolen token is refused without the key, and with another one', async () => {
      const [pair, other] = [await selfSigned(), await selfSigned()]
      const token = await tokenFor(pair)
      const { received } = await attack.watching(async () => {
        expect(await get(undefined, token)).toMatchObject({ status: 401 })
        expect(await get(other, token)).toMatchObject({ status: 401 })
      })
      expect(received).toEqual([])
    })

    test('a certificate alone is nobody, and beside a token that is not bound it is refused', async () => {
      const pair = await selfSigned('CN=ada,O=dev')
      expect(await get(pair, undefined)).toMatchObject({ status: 401 })
      expect(await get(pair, await attack.gatehouse.token({}))).toMatchObject({
        status: 401,
        body: expect.stringContaining('send only one of them') as string,
      })
    })

    test('a certificate of a CA that is not known is refused, whatever its names say', async () => {
      const foreign = await createAuthority({ commonName: 'foreign' })
      const leaf = await foreign.issue({ commonName: 'x', usages: ['client'] })
      expect(await get(leaf, await tokenFor(leaf))).toMatchObject({ status: 401 })
      const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
      const named = await selfSigned('CN=x', keys.privateKey)
      expect(await get(named, await tokenFor(named))).toMatchObject({ status: 401 })
    })
  },
)

describe('the CAs of the clients', () => {
  test('still judge their own certificates, and end no stream of a self-signed one', async () => {
    const api = await startApiServer()
    attack = await startAttack({ api, configuration: ACCEPT })
    onTestFinished(() => attack.close())
    const expired = await attack.gatehouse.certificate({
      notBefore: new Date(Date.now() - 7_200_000),
      notAfter: new Date(Date.now() - 3_600_000),
    })
    expect(await get(expired, await tokenFor(expired))).toMatchObject({ status: 401 })
    const pair = await selfSigned()
    const client = createClient({
      ...{ url: attack.gatehouse.url, ca: attack.gatehouse.ca, certificate: pair },
      token: await tokenFor(pair),
    })
    api.handler = (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('{"type":"ADDED"}\n')
      api.handler = undefined
      finish = () => response.end('{"type":"DELETED"}\n')
    }
    let finish = (): void => undefined
    const watch = client.ask(`${PODS}?watch=true`)
    await attack.gatehouse.eventsWhere(({ stage }) => stage === 'ResponseStarted')
    const more = await createAuthority({ commonName: 'more' })
    const { clientAuthority } = attack.gatehouse
    await replaceFile(
      attack.gatehouse.file('client-ca.crt'),
      clientAuthority.certificatePem + more.certificatePem,
    )
    const added = await more.issue({ commonName: 'new', usages: ['client'] })
    await expect.poll(async () => (await get(added, undefined)).status).toBe(200)
    finish()
    expect((await watch).body).toContain('DELETED')
    await client.close()
  })

  test('are not those that Node trusts', async () => {
    const known = getCACertificates('default')
    const publicCA = await createAuthority({ commonName: 'a public CA' })
    setDefaultCACertificates([...known, publicCA.certificatePem])
    onTestFinished(() => setDefaultCACertificates(known))
    attack = await startAttack({ configuration: ACCEPT, without: ['x509'] })
    onTestFinished(() => attack.close())
    const leaf = await publicCA.issue({ commonName: 'ada', usages: ['client'] })
    expect(await get(leaf, await tokenFor(leaf))).toMatchObject({ status: 401 })
  })
})

test('a self-signed certificate is refused unless the administrator accepts them', async () => {
  attack = await startAttack()
  onTestFinished(() => attack.close())
  const pair = await selfSigned()
  expect(await get(pair, await tokenFor(pair))).toMatchObject({ status: 401 })
})
