/**
 * A certificate authority in memory, for development and tests: X.509 v3 certificates and CRLs
 * (RFC 5280) with ECDSA P-256 keys. Nothing here touches a file.
 */
// The dependency injection inside @peculiar/x509 needs this import before its own.
import 'reflect-metadata'
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import * as x509 from '@peculiar/x509'

x509.cryptoProvider.set(webcrypto)

const keyAlgorithm = { name: 'ECDSA', namedCurve: 'P-256' }
const signingAlgorithm = { name: 'ECDSA', hash: 'SHA-256' }
const HOUR_MS = 60 * 60 * 1000
export const DAY_MS = 24 * HOUR_MS

/** Subject attribute that kube-apiserver reads as the user's UID (authentication/request/x509). */
const UID_OID = '1.3.6.1.4.1.57683.2'

/** A certificate and its private key. */
export interface KeyPair {
  /** X.509 certificate, PEM. */
  readonly certificatePem: string
  /** PKCS #8 private key, PEM. */
  readonly keyPem: string
}

export type Usage = 'client' | 'server'

/** The subject of a certificate. */
interface Subject {
  /** In a client certificate, the Kubernetes user name; `''` for none. */
  readonly commonName: string
  /** One O attribute each, in this order: the Kubernetes groups. */
  readonly organizations?: readonly string[]
  /** The Kubernetes UID. */
  readonly uid?: string
}

/** What a leaf certificate is to contain. */
export interface CertificateRequest extends Subject {
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
  readonly uris?: readonly string[]
  /** More extensions, such as a malformed one. */
  readonly extensions?: readonly RawExtension[]
  /** Extended key usages; if empty, the certificate does not have the extension. */
  readonly usages: readonly Usage[]
  /** Validity: from an hour ago, since clocks differ, until this many days from now. Default: 30. */
  readonly days?: number
  /** Overrides the start that `days` implies. */
  readonly notBefore?: Date
  /** Overrides the end that `days` implies. */
  readonly notAfter?: Date
}

export interface RawExtension {
  /** The object identifier, such as `2.5.29.17`. */
  readonly type: string
  readonly critical: boolean
  /** DER. */
  readonly value: Uint8Array
}

/** An authority that issues certificates. */
export interface Authority extends KeyPair {
  /** Creates a key and a certificate for it. Throws a TypeError if an IP address is not valid. */
  issue(request: CertificateRequest): Promise<KeyPair>
  /** Creates an authority below this one. Its `certificatePem` does not include its parent's. */
  createIntermediate(options: AuthorityOptions): Promise<Authority>
  /** A certificate revocation list (PEM) of these certificates (PEM), valid for a day by default. */
  revoke(
    certificatePems: readonly string[],
    options?: { readonly thisUpdate?: Date; readonly nextUpdate?: Date },
  ): Promise<string>
}

export interface AuthorityOptions {
  readonly commonName: string
  /** Validity, as in {@link CertificateRequest}. Default: 30. */
  readonly days?: number
  /** False: without key usages, as `openssl req -x509` makes it. Default: it only signs. */
  readonly hasKeyUsages?: boolean
}

/** Creates a self-signed certificate authority. */
export async function createAuthority(options: AuthorityOptions): Promise<Authority> {
  const keys = await generateKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity(options.days),
    serialNumber: serialNumber(),
    name: subjectOf(options),
    keys,
    signingAlgorithm,
    extensions: await authorityExtensions(keys.publicKey, options),
  })
  return authorityOf(certificate, keys.privateKey, await pair(certificate, keys.privateKey))
}

/**
 * Loads an authority from its certificate and key. Throws when either does not parse or the key is not
 * an ECDSA P-256 key.
 */
export async function loadAuthority(files: KeyPair): Promise<Authority> {
  const pkcs8 = createPrivateKey(files.keyPem).export({ type: 'pkcs8', format: 'der' })
  const key = await webcrypto.subtle.importKey('pkcs8', pkcs8, keyAlgorithm, true, ['sign'])
  return authorityOf(new x509.X509Certificate(files.certificatePem), key, files)
}

/** Creates a key pair without a certificate, for signing service account tokens (both PEM). */
export async function createKeyPair(): Promise<{ publicKeyPem: string; keyPem: string }> {
  const keys = await generateKeys()
  const spki = await webcrypto.subtle.exportKey('spki', keys.publicKey)
  return {
    publicKeyPem: `${x509.PemConverter.encode(spki, 'PUBLIC KEY')}\n`,
    keyPem: await exportKey(keys.privateKey),
  }
}

function authorityOf(
  certificate: x509.X509Certificate,
  signingKey: CryptoKey,
  files: KeyPair,
): Authority {
  // The encoded name, not its text: Go compares names byte by byte, and text would be re-encoded.
  const issuer = certificate.subjectName
  const sign = { issuer, signingKey, signingAlgorithm }
  return {
    ...files,
    issue: async (request) => {
      const keys = await generateKeys()
      const leaf = await x509.X509CertificateGenerator.create({
        ...sign,
        ...validity(request.days, request.notBefore, request.notAfter),
        serialNumber: serialNumber(),
        subject: subjectOf(request),
        publicKey: keys.publicKey,
        extensions: [
          ...leafExtensions(request),
          await x509.AuthorityKeyIdentifierExtension.create(certificate.publicKey),
        ],
      })
      return pair(leaf, keys.privateKey)
    },
    createIntermediate: async (options) => {
      const keys = await generateKeys()
      const child = await x509.X509CertificateGenerator.create({
        ...sign,
        ...validity(options.days),
        serialNumber: serialNumber(),
        subject: subjectOf(options),
        publicKey: keys.publicKey,
        extensions: [
          ...(await authorityExtensions(keys.publicKey, options)),
          await x509.AuthorityKeyIdentifierExtension.create(certificate.publicKey),
        ],
      })
      return authorityOf(child, keys.privateKey, await pair(child, keys.privateKey))
    },
    revoke: async (certificatePems, { thisUpdate, nextUpdate } = {}) => {
      const list = await x509.X509CrlGenerator.create({
        ...sign,
        thisUpdate: thisUpdate ?? new Date(Date.now() - HOUR_MS),
        nextUpdate: nextUpdate ?? new Date(Date.now() + DAY_MS),
        entries: certificatePems.map((pem) => ({
          serialNumber: new x509.X509Certificate(pem).serialNumber,
          revocationDate: thisUpdate ?? new Date(Date.now() - HOUR_MS),
        })),
      })
      // The library's own label, CRL, is not the standard one (RFC 7468 section 7).
      return `${x509.PemConverter.encode(list.rawData, 'X509 CRL')}\n`
    },
  }
}

/** Uses UTF8String: in plain strings the library would read quotes and a leading # as syntax. */
function subjectOf({ commonName, organizations = [], uid }: Subject): x509.Name {
  const attribute = (type: string, utf8String: string) => ({ [type]: [{ utf8String }] })
  return new x509.Name([
    ...organizations.map((organization) => attribute('O', organization)),
    ...(commonName === '' ? [] : [attribute('CN', commonName)]),
    ...(uid === undefined ? [] : [attribute(UID_OID, uid)]),
  ])
}

async function authorityExtensions(
  publicKey: CryptoKey,
  { hasKeyUsages = true }: AuthorityOptions,
): Promise<x509.Extension[]> {
  return [
    new x509.BasicConstraintsExtension(true, undefined, true),
    ...(hasKeyUsages
      ? [
          new x509.KeyUsagesExtension(
            x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
            true,
          ),
        ]
      : []),
    await x509.SubjectKeyIdentifierExtension.create(publicKey),
  ]
}

function leafExtensions(request: CertificateRequest): x509.Extension[] {
  const names = [
    ...(request.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(request.ipAddresses ?? []).map((value) => {
      if (isIP(value) === 0) throw new TypeError(`"${value}" is not an IP address`)
      return { type: 'ip' as const, value }
    }),
    ...(request.uris ?? []).map((value) => ({ type: 'url' as const, value })),
  ]
  const usages = request.usages.map((usage) =>
    usage === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth,
  )
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    ...(usages.length > 0 ? [new x509.ExtendedKeyUsageExtension(usages)] : []),
    ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
    ...(request.extensions ?? []).map(
      ({ type, critical, value }) => new x509.Extension(type, critical, Buffer.from(value)),
    ),
  ]
}

function validity(
  days = 30,
  notBefore = new Date(Date.now() - HOUR_MS),
  notAfter = new Date(Date.now() + days * DAY_MS),
): { notBefore: Date; notAfter: Date } {
  return { notBefore, notAfter }
}

/** 128 random bits, positive and without a leading zero byte in DER. */
function serialNumber(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes.toString('hex')
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(keyAlgorithm, true, ['sign', 'verify'])
}

async function pair(certificate: x509.X509Certificate, key: CryptoKey): Promise<KeyPair> {
  return { certificatePem: `${certificate.toString('pem')}\n`, keyPem: await exportKey(key) }
}

async function exportKey(key: CryptoKey): Promise<string> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', key)
  return `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`
}
