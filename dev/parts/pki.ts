/** Authorities and certificates of certs-dev/pki.ts, as the files that the parts are started with. */
import { writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'

import {
  readKeyPair,
  writeKeyPair,
  writePrivateKey,
  type CertificateFiles,
} from '../../certs-dev/files.ts'
import * as pki from '../../certs-dev/pki.ts'

/** What a leaf certificate is to contain. */
export interface LeafRequest {
  commonName: string
  /** Kubernetes reads them as groups. */
  organizations?: string[]
  /** DNS names and IP addresses. With any of them it is a serving certificate, else a client's. */
  hosts?: string[]
}

/** Creates a certificate authority in a folder: `<name>.crt` and `<name>.key`. */
export async function createAuthority(directory: string, name: string): Promise<CertificateFiles> {
  return writeKeyPair(directory, name, await pki.createAuthority({ commonName: name }))
}

/** Creates a leaf certificate, signed by an authority, in a folder: `<name>.crt` and `<name>.key`. */
export async function issueCertificate(
  authority: CertificateFiles,
  directory: string,
  name: string,
  { commonName, organizations = [], hosts = [] }: LeafRequest,
): Promise<CertificateFiles> {
  const signer = await pki.loadAuthority(await readKeyPair(authority))
  const pair = await signer.issue({
    commonName,
    organizations,
    dnsNames: hosts.filter((host) => isIP(host) === 0),
    ipAddresses: hosts.filter((host) => isIP(host) !== 0),
    usages: [hosts.length > 0 ? 'server' : 'client'],
  })
  return writeKeyPair(directory, name, pair)
}

/** Creates a key pair without a certificate, for signing service account tokens. */
export async function createKeyPair(
  directory: string,
  name: string,
): Promise<{ publicFile: string; keyFile: string }> {
  const { publicKeyPem, keyPem } = await pki.createKeyPair()
  const publicFile = join(directory, `${name}.pub`)
  const keyFile = join(directory, `${name}.key`)
  await writeFile(publicFile, publicKeyPem)
  await writePrivateKey(keyFile, keyPem)
  return { publicFile, keyFile }
}
