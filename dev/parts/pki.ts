/** Authorities and certificates of certs-dev/pki.ts, as the files that the parts are started with. */
import { readFile, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'

import * as pki from '../../certs-dev/pki.ts'

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
  return write(directory, name, await pki.createAuthority({ commonName: name }))
}

/** Makes a leaf certificate of an authority in a folder: `<name>.crt` and `<name>.key`. */
export async function issueCertificate(
  authority: CertificateFiles,
  directory: string,
  name: string,
  { commonName, organizations = [], hosts = [] }: LeafRequest,
): Promise<CertificateFiles> {
  const signer = await pki.loadAuthority({
    certificatePem: await readFile(authority.certFile, 'utf8'),
    keyPem: await readFile(authority.keyFile, 'utf8'),
  })
  const pair = await signer.issue({
    commonName,
    organizations,
    dnsNames: hosts.filter((host) => isIP(host) === 0),
    ipAddresses: hosts.filter((host) => isIP(host) !== 0),
    usages: [hosts.length > 0 ? 'server' : 'client'],
  })
  return write(directory, name, pair)
}

/** Makes a key pair without a certificate (for signing service account tokens). */
export async function createKeyPair(
  directory: string,
  name: string,
): Promise<{ publicFile: string; keyFile: string }> {
  const { publicKeyPem, keyPem } = await pki.createKeyPair()
  const publicFile = join(directory, `${name}.pub`)
  const keyFile = join(directory, `${name}.key`)
  await writeFile(publicFile, publicKeyPem)
  await writeFile(keyFile, keyPem, { mode: 0o600 })
  return { publicFile, keyFile }
}

async function write(
  directory: string,
  name: string,
  { certificatePem, keyPem }: pki.KeyPair,
): Promise<CertificateFiles> {
  const certFile = join(directory, `${name}.crt`)
  const keyFile = join(directory, `${name}.key`)
  await writeFile(certFile, certificatePem)
  await writeFile(keyFile, keyPem, { mode: 0o600 })
  return { certFile, keyFile }
}
