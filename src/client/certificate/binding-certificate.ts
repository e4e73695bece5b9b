/** Makes the certificate that an issuer binds a token to (RFC 8705 section 3), and checks that it did. */
import {
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto'

import { AsnConvert } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  Certificate,
  Name,
  RelativeDistinguishedName,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509'

import { ClientFailure } from '../failure.ts'
import { readCertificateFiles } from '../session/bound-certificate.ts'
import type { CertificateFiles, CertificatePair } from '../session/session.ts'

/** RFC 5758 section 3.2. */
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'
const COMMON_NAME = '2.5.4.3'
/** The same for everybody: a TLS 1.2 handshake shows it to whoever listens. */
const NAME = 'gatehouse client'
/** RFC 5280 section 4.1.2.5: it has no end of its own; its token and refresh token have. */
const NO_END = new Date('9999-12-31T23:59:59Z')
const DAY_MS = 24 * 60 * 60_000

/** A new key, and a certificate that it has signed itself. */
export function newBindingCertificate(): CertificatePair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const serial = randomBytes(16)
  // A positive integer without a leading zero octet.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  const name = new Name([
    new RelativeDistinguishedName([
      new AttributeTypeAndValue({
        type: COMMON_NAME,
        value: new AttributeValue({ utf8String: NAME }),
      }),
    ]),
  ])
  const signatureAlgorithm = new AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 })
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: Uint8Array.from(serial).buffer,
    signature: signatureAlgorithm,
    issuer: name,
    // The clock of the issuer may be behind.
    validity: new Validity({ notBefore: new Date(Date.now() - DAY_MS), notAfter: NO_END }),
    subject: name,
    subjectPublicKeyInfo: AsnConvert.parse(
      publicKey.export({ type: 'spki', format: 'der' }),
      SubjectPublicKeyInfo,
    ),
  })
  const signature = sign('sha256', new Uint8Array(AsnConvert.serialize(tbsCertificate)), privateKey)
  const certificate = new Certificate({
    tbsCertificate,
    signatureAlgorithm,
    signatureValue: Uint8Array.from(signature).buffer,
  })
  return {
    certificate: new X509Certificate(Buffer.from(AsnConvert.serialize(certificate))).toString(),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  }
}

/**
 * The certificate of a user for a sign-in.
 *
 * @throws ClientFailure when it cannot be used
 */
export function userCertificate(files: CertificateFiles): CertificatePair {
  const pair = readCertificateFiles(files)
  try {
    if (new X509Certificate(pair.certificate).checkPrivateKey(createPrivateKey(pair.key))) {
      return pair
    }
  } catch (error) {
    const { message } = error as Error
    const text = `cannot use ${files.certificate} with ${files.key}: ${message}; the key must not be encrypted`
    throw new ClientFailure('usage', text, { cause: error })
  }
  throw new ClientFailure('usage', `${files.key} is not the key of ${files.certificate}`)
}

/** The SHA-256 of a certificate as `cnf.x5t#S256` has it (RFC 8705 section 3.1). */
export function thumbprintOf({ certificate }: Pick<CertificatePair, 'certificate'>): string {
  const digest = new X509Certificate(certificate).fingerprint256.replaceAll(':', '')
  return Buffer.from(digest, 'hex').toString('base64url')
}
