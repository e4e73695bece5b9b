// The dependency injection inside @peculiar/x509 needs this import before its own.
import 'reflect-metadata'
import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto'

import * as x509 from '@peculiar/x509'
import { beforeAll, describe, expect, test } from 'vitest'

import {
  createAuthority,
  loadAuthority,
  type Authority,
  type KeyPair,
} from '../../../certs-dev/pki.ts'
import {
  createCertificateRecheck,
  createChainCheck,
} from '../../../src/authentication/x509/certificate-recheck.ts'
import { derSequence } from '../../../src/authentication/x509/der.ts'

let root: Authority
let other: Authority
let intermediate: Authority
let ada: KeyPair
let viaIntermediate: KeyPair

beforeAll(async () => {
  root = await createAuthority({ commonName: 'users' })
  other = await createAuthority({ commonName: 'users' })
  intermediate = await root.createIntermediate({ commonName: 'team' })
  ada = await root.issue({ commonName: 'ada', usages: ['client'] })
  viaIntermediate = await intermediate.issue({ commonName: 'grace', usages: ['client'] })
})

const pem = (...pairs: readonly KeyPair[]) => pairs.map((pair) => pair.certificatePem).join('')

/** What a client with these certificates is told by a bundle and lists. */
function review(chain: readonly KeyPair[], ca: string, crl?: string): string | undefined {
  const certificates = chain.map(({ certificatePem }) => new X509Certificate(certificatePem))
  return createCertificateRecheck({ ca, crl })(certificates)
}

const NO_CA = 'the certificate no longer chains to a client CA'
const REVOKED = 'the certificate, or a CA above it, is revoked'
const UNLISTED = 'there is no revocation list of a CA above the certificate'

describe('a certificate is still accepted', () => {
  test('whose CA is in the bundle, wherever it stands there', () => {
    expect(review([ada], pem(root))).toBeUndefined()
    expect(review([ada], pem(other, intermediate, root))).toBeUndefined()
  })

  test('whose intermediate is in the bundle, or came with it', () => {
    expect(review([viaIntermediate], pem(root, intermediate))).toBeUndefined()
    expect(review([viaIntermediate, intermediate], pem(root))).toBeUndefined()
  })

  test('that has expired, and under a list that has: time ends no stream', async () => {
    const past = new Date(Date.now() - 60_000)
    const expired = await root.issue({ commonName: 'ada', usages: ['client'], notAfter: past })
    const list = await root.revoke([], { nextUpdate: past })
    expect(review([expired], pem(root), list)).toBeUndefined()
  })

  test('that no list names, among lists that name others', async () => {
    const lists = await Promise.all([
      other.revoke([other.certificatePem]),
      root.revoke([viaIntermediate.certificatePem]),
      intermediate.revoke([]),
    ])
    expect(review([ada], pem(root), lists.join(''))).toBeUndefined()
    expect(review([viaIntermediate, intermediate], pem(root), lists.join(''))).toBeUndefined()
  })
})

describe('a certificate is no longer accepted', () => {
  test('whose CA is gone, also when another of the same name is there', () => {
    expect(review([ada], pem(other))).toBe(NO_CA)
  })

  test('whose intermediate is gone, though its root is there', () => {
    expect(review([viaIntermediate], pem(root))).toBe(NO_CA)
  })

  test('whose intermediate and root are gone, though its client sends them', () => {
    expect(review([viaIntermediate, intermediate, root], pem(other))).toBe(NO_CA)
  })

  test('that is below a user’s certificate', async () => {
    expect(review([viaIntermediate, ada], pem(root))).toBe(NO_CA)
  })

  test('that a list names, or whose intermediate is named', async () => {
    const empty = await intermediate.revoke([])
    const namesAda = await root.revoke([viaIntermediate.certificatePem, ada.certificatePem])
    const namesTeam = await root.revoke([intermediate.certificatePem])
    const namesGrace = await intermediate.revoke([viaIntermediate.certificatePem])
    expect(review([ada], pem(root), namesAda)).toBe(REVOKED)
    expect(review([ada], pem(root), (await root.revoke([])) + namesAda)).toBe(REVOKED)
    expect(review([viaIntermediate], pem(root, intermediate), empty + namesTeam)).toBe(REVOKED)
    expect(review([viaIntermediate, intermediate], pem(root), namesGrace + namesAda)).toBe(REVOKED)
  })

  test('where lists are asked for and none is its CA’s', async () => {
    expect(review([ada], pem(root), await intermediate.revoke([]))).toBe(UNLISTED)
    expect(review([viaIntermediate, intermediate], pem(root), await root.revoke([]))).toBe(UNLISTED)
  })

  test.for(['', 'AAAA', 'MIIB', 'MAA=', 'MIQ=', 'MP////8=', 'MIAAAA=='])(
    'where the list cannot be read: %j',
    (base64) => {
      const crl = `-----BEGIN X509 CRL-----\n${base64}\n-----END X509 CRL-----\n`
      expect(review([ada], pem(root), crl)).toBe(UNLISTED)
    },
  )

  test('that is not there any more', () => {
    expect(review([], pem(root))).toBe(NO_CA)
  })
})

describe('an intermediate CA whose root is not in the bundle', () => {
  test('is a trust anchor, and the root’s other certificates are not accepted', async () => {
    const below = await intermediate.createIntermediate({ commonName: 'shift' })
    const linus = await below.issue({ commonName: 'linus', usages: ['client'] })
    expect(review([viaIntermediate], pem(intermediate))).toBeUndefined()
    expect(review([viaIntermediate, intermediate, root], pem(intermediate))).toBeUndefined()
    expect(review([linus, below], pem(intermediate))).toBeUndefined()
    expect(review([ada], pem(intermediate))).toBe(NO_CA)
    expect(review([ada, root], pem(intermediate))).toBe(NO_CA)
  })

  test('needs its own revocation list, and not its root’s', async () => {
    const below = await intermediate.createIntermediate({ commonName: 'shift' })
    const linus = await below.issue({ commonName: 'linus', usages: ['client'] })
    const empty = await intermediate.revoke([])
    expect(review([viaIntermediate, intermediate], pem(intermediate), empty)).toBeUndefined()
    expect(review([linus, below], pem(intermediate), empty)).toBe(UNLISTED)
    const both = empty + (await below.revoke([]))
    expect(review([linus, below], pem(intermediate), both)).toBeUndefined()
    for (const revoked of [viaIntermediate, below]) {
      const list = (await intermediate.revoke([revoked.certificatePem])) + (await below.revoke([]))
      const chain = revoked === below ? [linus, below] : [viaIntermediate]
      expect(review(chain, pem(intermediate), list)).toBe(REVOKED)
    }
  })
})

describe('a revocation list', () => {
  test('counts only with the signature of its CA', async () => {
    // Of the same name, with another key.
    const twin = await createAuthority({ commonName: 'users' })
    expect(review([ada], pem(root), await twin.revoke([]))).toBe(UNLISTED)
    expect(review([ada], pem(root), await root.revoke([]))).toBeUndefined()
  })

  test('is checked for its validity at the given time', async () => {
    const past = new Date(Date.now() - 60_000)
    const future = new Date(Date.now() + 60_000)
    const certificate = new X509Certificate(ada.certificatePem)
    const problemBy = async (options: { thisUpdate?: Date; nextUpdate?: Date }) =>
      createChainCheck({ ca: pem(root), crl: await root.revoke([], options) })(
        [certificate],
        Date.now(),
      )
    expect(await problemBy({})).toBeUndefined()
    expect(await problemBy({ nextUpdate: past })).toBe('CRL_HAS_EXPIRED')
    expect(await problemBy({ thisUpdate: future })).toBe('CRL_NOT_YET_VALID')
  })

  test('finds a revoked CA, whatever other certificate of the same key its client sends with it', async () => {
    const key = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
      'sign',
      'verify',
    ])
    const keys = { publicKey: key.publicKey, privateKey: key.privateKey }
    const sign = (signer: Authority, serialNumber: string, notAfter: Date) =>
      crossCertificate(signer, keys.publicKey, serialNumber, notAfter)
    const revoked = await sign(root, '0a01', new Date(Date.now() + 60_000))
    const expired = await sign(root, '0a02', new Date(Date.now() - 60_000))
    const team = await loadAuthority({
      certificatePem: revoked,
      keyPem: await pkcs8(keys.privateKey),
    })
    const eve = await team.issue({ commonName: 'eve', usages: ['client'] })
    const lists = (await root.revoke([revoked])) + (await team.revoke([]))
    for (const sent of [
      [revoked, expired],
      [expired, revoked],
    ]) {
      const chain = [eve.certificatePem, ...sent].map((text) => new X509Certificate(text))
      const check = createChainCheck({ ca: pem(root), crl: lists })
      expect(check(chain, Date.now())).toBe('CERT_REVOKED')
    }
  })
})

async function crossCertificate(
  signer: Authority,
  publicKey: webcrypto.CryptoKey,
  serialNumber: string,
  notAfter: Date,
): Promise<string> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const der = createPrivateKey(signer.keyPem).export({ type: 'pkcs8', format: 'der' })
  const certificate = await x509.X509CertificateGenerator.create({
    issuer: new x509.X509Certificate(signer.certificatePem).subjectName,
    signingKey: await webcrypto.subtle.importKey('pkcs8', der, algorithm, true, ['sign']),
    signingAlgorithm: algorithm,
    publicKey,
    serialNumber,
    subject: 'CN=team',
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  })
  return `${certificate.toString('pem')}\n`
}

async function pkcs8(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key))
  const object = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  return object.export({ type: 'pkcs8', format: 'pem' })
}

test('a list whose lengths take several octets, is read to its end', async () => {
  const certificates = Array.from({ length: 40 }, () => root.issue({ commonName: 'x', usages: [] }))
  const pems = (await Promise.all(certificates)).map(({ certificatePem }) => certificatePem)
  const list = await root.revoke([...pems, ada.certificatePem])
  expect(review([ada], pem(root), list)).toBe(REVOKED)
})

describe('a CA’s certificate that its client has written anew as OpenSSL still reads it', () => {
  /** The same names and key, in a SEQUENCE of indefinite length, which is not DER. */
  function rewritten({ certificatePem }: KeyPair): X509Certificate {
    const [signed, ...rest] = derSequence(new X509Certificate(certificatePem).raw)
    const indefinite = [Buffer.from([0x30, 0x80]), signed!.content, Buffer.from([0, 0])]
    const content = Buffer.concat([...indefinite, ...rest.map(({ encoded }) => encoded)])
    const head = Buffer.from([0x30, 0x82, content.length >> 8, content.length & 0xff])
    return new X509Certificate(Buffer.concat([head, content]))
  }

  async function reviewWith(ca: string, ...others: readonly KeyPair[]) {
    const lists = await Promise.all([root.revoke([]), intermediate.revoke([])])
    const sent = others.map(({ certificatePem }) => new X509Certificate(certificatePem))
    const own = new X509Certificate(viaIntermediate.certificatePem)
    const judge = createCertificateRecheck({ ca, crl: lists.join('') })
    return judge([own, rewritten(intermediate), ...sent])
  }

  test('is not accepted, and keeps no review from going on', async () => {
    expect(await reviewWith(pem(other))).toBe(NO_CA)
  })

  test('does not count beside the right one', async () => {
    expect(await reviewWith(pem(root), intermediate)).toBeUndefined()
  })
})
