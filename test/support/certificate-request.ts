/** Certificate requests as clients make them, and as they should not. */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto'

import { AsnConvert } from '@peculiar/asn1-schema'
import { CertificationRequest, CertificationRequestInfo } from '@peculiar/asn1-csr'
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  Name,
  RelativeDistinguishedName,
  SubjectPublicKeyInfo,
} from '@peculiar/asn1-x509'

export interface Keys {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

export const newKeys = (namedCurve = 'P-256'): Keys => generateKeyPairSync('ec', { namedCurve })

export interface RequestOptions {
  readonly keys?: Keys
  /** The key that signs, if it is another one. */
  readonly signedBy?: Keys
  /** Hash and algorithm identifier. */
  readonly hash?: string | null
  readonly algorithm?: string
  readonly commonName?: string
}

/** A request as PEM, by default for a new P-256 key. */
export function certificateRequest(options: RequestOptions = {}): string {
  return requestPem(requestDer(options))
}

export function requestPem(der: Uint8Array, label = 'CERTIFICATE REQUEST'): string {
  const base64 = Buffer.from(der).toString('base64')
  return `-----BEGIN ${label}-----\n${base64.replace(/.{64}(?!$)/g, '$&\n')}\n-----END ${label}-----\n`
}

export function requestDer(options: RequestOptions = {}): Uint8Array {
  const { keys = newKeys(), hash = 'sha256', algorithm = '1.2.840.10045.4.3.2' } = options
  const { privateKey } = options.signedBy ?? keys
  const spki = keys.publicKey.export({ type: 'spki', format: 'der' })
  const value = new AttributeValue({ utf8String: options.commonName ?? 'system:admin' })
  const info = new CertificationRequestInfo({
    version: 0,
    subject: new Name([
      new RelativeDistinguishedName([new AttributeTypeAndValue({ type: '2.5.4.3', value })]),
    ]),
    subjectPKInfo: AsnConvert.parse(spki, SubjectPublicKeyInfo),
  })
  const signature = sign(hash, new Uint8Array(AsnConvert.serialize(info)), privateKey)
  const request = new CertificationRequest({
    certificationRequestInfo: info,
    signatureAlgorithm: new AlgorithmIdentifier({ algorithm }),
    signature: Uint8Array.from(signature).buffer,
  })
  return new Uint8Array(AsnConvert.serialize(request))
}
