/** The certificates of a development set-up, as files. */
import { X509Certificate } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createAuthority, type CertificateRequest, type KeyPair } from './pki.ts'

/** Absolute paths of a certificate (PEM) and its private key (PKCS #8, PEM). */
export interface CertificateFiles {
  readonly certFile: string
  readonly keyFile: string
}

/**
 * Three authorities, because each answers another question: which server is this, which user of
 * Gatehouse is this, and is this Gatehouse itself? With one for all, a user's certificate would be
 * taken for Gatehouse's by the API server.
 */
export interface DevelopmentCertificates {
  /** The folder that holds them all. */
  readonly directory: string
  /** The development CA: signs what servers on loopback serve with. */
  readonly ca: CertificateFiles
  /** Signed by {@link ca}, for 127.0.0.1, ::1 and localhost. */
  readonly serving: CertificateFiles
  /** Signs users of Gatehouse. */
  readonly clientCA: CertificateFiles
  /** Certificate revocation list of {@link clientCA}; names nobody. */
  readonly clientCRLFile: string
  /** A user of Gatehouse, signed by {@link clientCA}. */
  readonly client: CertificateFiles
  /** Signs clients of the API server behind Gatehouse. */
  readonly upstreamCA: CertificateFiles
  /** Gatehouse as a client of that API server, signed by {@link upstreamCA}. */
  readonly upstream: CertificateFiles
  /** When the first of them is over. */
  readonly validUntil: Date
}

/** The user whom the client certificate names. */
export const developmentClient = { commonName: 'ada', organizations: ['developers'] }

/** The common name of Gatehouse's own client certificate. */
export const upstreamCommonName = 'gatehouse'

/**
 * Makes new certificates, valid for 30 days, and writes them into a folder, which is made (0700)
 * where it is missing; files of the same names are replaced, private keys are 0600.
 */
export async function writeDevelopmentCertificates(
  folder: string,
): Promise<DevelopmentCertificates> {
  const directory = resolve(folder)
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const [ca, clientCA, upstreamCA] = await Promise.all([
    createAuthority({ commonName: 'Gatehouse development CA' }),
    createAuthority({ commonName: 'Gatehouse development client CA' }),
    createAuthority({ commonName: 'Gatehouse development upstream CA' }),
  ])
  const loopback = { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1', '::1'] }
  const servingRequest: CertificateRequest = {
    commonName: 'localhost',
    ...loopback,
    usages: ['server'],
  }
  const [serving, client, upstream, crl] = await Promise.all([
    ca.issue(servingRequest),
    clientCA.issue({ ...developmentClient, usages: ['client'] }),
    upstreamCA.issue({ commonName: upstreamCommonName, usages: ['client'] }),
    clientCA.revoke([], { nextUpdate: new Date(Date.now() + 30 * 24 * 60 * 60 * 1000) }),
  ])
  const clientCRLFile = join(directory, 'client-ca.crl')
  const [caFiles, servingFiles, clientCAFiles, clientFiles, upstreamCAFiles, upstreamFiles] =
    await Promise.all([
      writePair(directory, 'ca', ca),
      writePair(directory, 'serving', serving),
      writePair(directory, 'client-ca', clientCA),
      writePair(directory, 'client', client),
      writePair(directory, 'upstream-ca', upstreamCA),
      writePair(directory, 'upstream', upstream),
      writeFile(clientCRLFile, crl),
    ])
  return {
    directory,
    ca: caFiles,
    serving: servingFiles,
    clientCA: clientCAFiles,
    clientCRLFile,
    client: clientFiles,
    upstreamCA: upstreamCAFiles,
    upstream: upstreamFiles,
    validUntil: new X509Certificate(ca.certificatePem).validToDate,
  }
}

async function writePair(
  directory: string,
  name: string,
  pair: KeyPair,
): Promise<CertificateFiles> {
  const certFile = join(directory, `${name}.crt`)
  const keyFile = join(directory, `${name}.key`)
  await writeFile(certFile, pair.certificatePem)
  // A mode given to writeFile counts for new files only.
  await rm(keyFile, { force: true })
  await writeFile(keyFile, pair.keyPem, { mode: 0o600, flag: 'wx' })
  return { certFile, keyFile }
}
