/** Makes a key and a certificate request. The key is made on this machine and stays on it. */
import { generateKeyPairSync, sign } from 'node:crypto'

import { CertificationRequest, CertificationRequestInfo } from '@peculiar/asn1-csr'
import { AsnConvert } from '@peculiar/asn1-schema'
import { AlgorithmIdentifier, Name, SubjectPublicKeyInfo } from '@peculiar/asn1-x509'

export interface NewRequest {
  /** PKCS #10, PEM. It has no names: the server decides on these. */
  readonly request: string
  /** PKCS #8, PEM. */
  readonly key: string
}

/** RFC 5758 section 3.2. */
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'

/** A request for a new P-256 key. */
export function newRequest(): NewRequest {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const info = new CertificationRequestInfo({
    version: 0,
    subject: new Name([]),
    subjectPKInfo: AsnConvert.parse(spki, SubjectPublicKeyInfo),
  })
  const signature = sign('sha256', new Uint8Array(AsnConvert.serialize(info)), privateKey)
  const request = new CertificationRequest({
    certificationRequestInfo: info,
    signatureAlgorithm: new AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 }),
    signature: Uint8Array.from(signature).buffer,
  })
  return {
    request: pem(Buffer.from(AsnConvert.serialize(request))),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  }
}

/** RFC 7468 section 7. */
function pem(der: Buffer): string {
  const lines = der.toString('base64').replaceAll(/.{64}(?!$)/g, '$&\n')
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines}\n-----END CERTIFICATE REQUEST-----\n`
}
