/** Makes a client certificate (RFC 5280) for a user. Only the key in it comes from the client. */
import { randomBytes, type KeyObject } from 'node:crypto'

import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectKeyIdentifier,
  id_kp_clientAuth,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509'

import type { UserInfo } from '../authentication/authenticator.ts'
import {
  SIGN_IN_EXTENSION,
  signInText,
  type IssuedSignIn,
} from '../authentication/issued/sign-in-extension.ts'
import { UID_ATTRIBUTE } from '../authentication/x509/subject-identity.ts'
import type { IssuingAuthority } from './authority.ts'
import type { Sign } from './signer.ts'

export interface CertificateContent {
  readonly user: Pick<UserInfo, 'username' | 'uid' | 'groups'>
  readonly signIn: IssuedSignIn
  readonly publicKey: KeyObject
  /** Milliseconds since the epoch; a certificate has whole seconds. */
  readonly notBefore: number
  readonly notAfter: number
}

const COMMON_NAME = '2.5.4.3'
const ORGANIZATION = '2.5.4.10'
/** 127 random bits, and no leading zero octet in DER. */
const SERIAL_BYTES = 16

/**
 * Makes and signs the certificate.
 *
 * @returns its DER
 * @throws StatusError 503 when it cannot be signed
 */
export async function makeCertificate(
  authority: IssuingAuthority,
  content: CertificateContent,
  sign: Sign,
): Promise<Uint8Array> {
  const tbsCertificate = tbsOf(authority, content)
  const signature = await sign(authority, new Uint8Array(AsnConvert.serialize(tbsCertificate)))
  const certificate = new Certificate({
    tbsCertificate,
    signatureAlgorithm: tbsCertificate.signature,
    signatureValue: Uint8Array.from(signature).buffer,
  })
  return new Uint8Array(AsnConvert.serialize(certificate))
}

function tbsOf({ certificate, algorithm }: IssuingAuthority, content: CertificateContent) {
  const { user, publicKey, notBefore, notAfter } = content
  const issuer = AsnConvert.parse(certificate.raw, Certificate).tbsCertificate
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  return new TBSCertificate({
    version: Version.v3,
    serialNumber: serialNumber(),
    signature: new AlgorithmIdentifier({
      algorithm: algorithm.id,
      ...(algorithm.hasNullParameters ? { parameters: null } : {}),
    }),
    // As it is encoded there: Go compares names byte by byte.
    issuer: issuer.subject,
    validity: new Validity({ notBefore: new Date(notBefore), notAfter: new Date(notAfter) }),
    subject: subjectOf(user),
    subjectPublicKeyInfo: AsnConvert.parse(spki, SubjectPublicKeyInfo),
    extensions: new Extensions(extensionsOf(issuer, content.signIn)),
  })
}

function serialNumber(): ArrayBuffer {
  const bytes = randomBytes(SERIAL_BYTES)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return Uint8Array.from(bytes).buffer
}

/** As kube-apiserver reads it (authentication/request/x509): CN, an O for each group, the UID. */
function subjectOf({ username, uid, groups }: CertificateContent['user']): Name {
  return new Name([
    attribute(COMMON_NAME, username),
    ...groups.map((group) => attribute(ORGANIZATION, group)),
    ...(uid === '' ? [] : [attribute(UID_ATTRIBUTE, uid)]),
  ])
}

function attribute(type: string, utf8String: string): RelativeDistinguishedName {
  const value = new AttributeValue({ utf8String })
  return new RelativeDistinguishedName([new AttributeTypeAndValue({ type, value })])
}

function extensionsOf(issuer: TBSCertificate, signIn: IssuedSignIn): Extension[] {
  const keyIdentifier = subjectKeyIdentifier(issuer)
  const text = new AttributeValue({ utf8String: signInText(signIn) })
  return [
    extension(id_ce_basicConstraints, true, new BasicConstraints({ cA: false })),
    extension(id_ce_keyUsage, true, new KeyUsage(KeyUsageFlags.digitalSignature)),
    extension(id_ce_extKeyUsage, false, new ExtendedKeyUsage([id_kp_clientAuth])),
    ...(keyIdentifier === undefined
      ? []
      : [
          extension(
            id_ce_authorityKeyIdentifier,
            false,
            new AuthorityKeyIdentifier({ keyIdentifier }),
          ),
        ]),
    extension(SIGN_IN_EXTENSION, false, text),
  ]
}

/** OpenSSL compares it with the identifier in the certificate, if both have one. */
function subjectKeyIdentifier({ extensions = new Extensions() }: TBSCertificate) {
  const found = extensions.find(({ extnID }) => extnID === id_ce_subjectKeyIdentifier)
  return found && AsnConvert.parse(found.extnValue.buffer, SubjectKeyIdentifier)
}

function extension(extnID: string, critical: boolean, value: object): Extension {
  return new Extension({
    extnID,
    critical,
    extnValue: new OctetString(AsnConvert.serialize(value)),
  })
}
