import 'reflect-metadata'
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'

x509.cryptoProvider.set(webcrypto)

const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
const signingAlgorithm = { name: 'ECDSA', hash: 'SHA-256' }
const day = 24 * 60 * 60 * 1000

/** A certificate and its key, as PEM files. */
export interface CertificateFiles {
  certFile: string
  keyFile: string
}

/** What a leaf certificate says. */
export interface LeafRequest {
  commonName: string
  /** Kubernetes reads them as groups. */
  organizations?: string[]
  /** DNS names and IP addresses; with any of them it is a serving certificate, else a client's. */
  hosts?: string[]
}

/** Makes a certificate authority in a folder: `<name>.crt` and `<name>.key`. */
export async function createAuthority(directory: string, name: string): Promise<CertificateFiles> {
  const keys = await generateKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity(),
    name: [{ CN: [name] }],
    keys,
    signingAlgorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return write(directory, name, certificate, keys.privateKey)
}

/** Makes a leaf certificate of an authority in a folder: `<name>.crt` and `<name>.key`. */
export async function issueCertificate(
  authority: CertificateFiles,
  directory: string,
  name: string,
  request: LeafRequest,
): Promise<CertificateFiles> {
  const issuer = new x509.X509Certificate(await readFile(authority.certFile, 'utf8'))
  const signingKey = await readSigningKey(authority.keyFile)
  const keys = await generateKeys()
  const hosts = request.hosts ?? []
  const organizations = request.organizations ?? []
  const usage =
    hosts.length > 0 ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth
  const certificate = await x509.X509CertificateGenerator.create({
    ...validity(),
    subject: [
      ...organizations.map((organization) => ({ O: [organization] })),
      { CN: [request.commonName] },
    ],
    issuer: issuer.subjectName.toJSON(),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([usage]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ...(hosts.length > 0
        ? [new x509.SubjectAlternativeNameExtension(hosts.map(alternative))]
        : []),
    ],
  })
  return write(directory, name, certificate, keys.privateKey)
}

/** Makes a key pair without a certificate (for signing service account tokens). */
export async function createKeyPair(
  directory: string,
  name: string,
): Promise<{ publicFile: string; keyFile: string }> {
  const keys = await generateKeys()
  const publicFile = join(directory, `${name}.pub`)
  const keyFile = join(directory, `${name}.key`)
  const spki = await webcrypto.subtle.exportKey('spki', keys.publicKey)
  await writeFile(publicFile, x509.PemConverter.encode(spki, 'PUBLIC KEY'))
  await writeKey(keyFile, keys.privateKey)
  return { publicFile, keyFile }
}

function alternative(host: string): { type: 'ip' | 'dns'; value: string } {
  return { type: /^[\d.]+$|:/.test(host) ? 'ip' : 'dns', value: host }
}

/** From a little earlier, so that no clock is behind; serial numbers are random and positive. */
function validity(): { notBefore: Date; notAfter: Date; serialNumber: string } {
  const now = Date.now()
  const serial = randomBytes(16)
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
  return {
    notBefore: new Date(now - 60 * 60 * 1000),
    notAfter: new Date(now + 30 * day),
    serialNumber: serial.toString('hex'),
  }
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
}

async function readSigningKey(file: string): Promise<CryptoKey> {
  const pkcs8 = createPrivateKey(await readFile(file)).export({ type: 'pkcs8', format: 'der' })
  return webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign'])
}

async function write(
  directory: string,
  name: string,
  certificate: x509.X509Certificate,
  privateKey: CryptoKey,
): Promise<CertificateFiles> {
  const certFile = join(directory, `${name}.crt`)
  const keyFile = join(directory, `${name}.key`)
  await writeFile(certFile, `${certificate.toString('pem')}\n`)
  await writeKey(keyFile, privateKey)
  return { certFile, keyFile }
}

async function writeKey(file: string, key: CryptoKey): Promise<void> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', key)
  await writeFile(file, `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`, { mode: 0o600 })
}
