import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { KeyPair } from './pki.ts'

/** Paths of a certificate (PEM) and its private key (PKCS #8, PEM). */
export interface CertificateFiles {
  readonly certFile: string
  readonly keyFile: string
}

/** Writes `<name>.crt` and `<name>.key` into a folder, over files of those names; the key is 0600. */
export async function writeKeyPair(
  directory: string,
  name: string,
  pair: KeyPair,
): Promise<CertificateFiles> {
  const certFile = join(directory, `${name}.crt`)
  const keyFile = join(directory, `${name}.key`)
  await writeFile(certFile, pair.certificatePem)
  await writePrivateKey(keyFile, pair.keyPem)
  return { certFile, keyFile }
}

/** Writes a private key that only its owner can read. */
export async function writePrivateKey(file: string, keyPem: string): Promise<void> {
  // writeFile applies the mode to new files only.
  await rm(file, { force: true })
  await writeFile(file, keyPem, { mode: 0o600, flag: 'wx' })
}

/** Reads what {@link writeKeyPair} wrote. */
export async function readKeyPair(files: CertificateFiles): Promise<KeyPair> {
  const [certificatePem, keyPem] = await Promise.all([
    readFile(files.certFile, 'utf8'),
    readFile(files.keyFile, 'utf8'),
  ])
  return { certificatePem, keyPem }
}
