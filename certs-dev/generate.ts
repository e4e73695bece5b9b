/** The certificates of a development set-up, written to files. */
import { X509Certificate } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { writeKeyPair, type CertificateFiles } from './files.ts'
import { createAuthority, DAY_MS } from './pki.ts'

/**
 * All files of a development set-up; their paths are absolute.
 *
 * There are three authorities because each certifies something else: servers, users of Gatehouse,
 * and Gatehouse itself. With a single one, the API server would accept a user's certificate as
 * Gatehouse's.
 */
export interface DevelopmentCertificates {
  /** The folder that holds all of them. */
  readonly directory: string
  /** Signs the serving certificates of servers on loopback. */
  readonly ca: CertificateFiles
  /** A serving certificate for 127.0.0.1, ::1 and localhost, signed by {@link ca}. */
  readonly serving: CertificateFiles
  /** Signs the certificates of Gatehouse's users. */
  readonly clientCA: CertificateFiles
  /** The certificate revocation list of {@link clientCA}; it is empty. */
  readonly clientCRLFile: string
  /** A user's certificate, signed by {@link clientCA}. */
  readonly client: CertificateFiles
  /** Signs the certificates of clients of the API server behind Gatehouse. */
  readonly upstreamCA: CertificateFiles
  /** Gatehouse's own client certificate for that API server, signed by {@link upstreamCA}. */
  readonly upstream: CertificateFiles
  /** When the first of the certificates expires. */
  readonly validUntil: Date
}

/** The subject of the client certificate. */
export const developmentClient = { commonName: 'ada', organizations: ['developers'] }

/** The common name of Gatehouse's own client certificate. */
export const UPSTREAM_COMMON_NAME = 'gatehouse'

/**
 * Creates certificates that are valid for 30 days and writes them into a folder, which is created
 * (0700) if it does not exist. Existing files of the same names are replaced; private keys are 0600.
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
  const [serving, client, upstream, crl] = await Promise.all([
    ca.issue({
      commonName: 'localhost',
      // Browsers resolve every name below localhost to loopback (RFC 6761 section 6.3).
      dnsNames: ['localhost', 'login.localhost'],
      ipAddresses: ['127.0.0.1', '::1'],
      usages: ['server'],
    }),
    clientCA.issue({ ...developmentClient, usages: ['client'] }),
    upstreamCA.issue({ commonName: UPSTREAM_COMMON_NAME, usages: ['client'] }),
    clientCA.revoke([], { nextUpdate: new Date(Date.now() + 30 * DAY_MS) }),
  ])
  const clientCRLFile = join(directory, 'client-ca.crl')
  const [caFiles, servingFiles, clientCAFiles, clientFiles, upstreamCAFiles, upstreamFiles] =
    await Promise.all([
      writeKeyPair(directory, 'ca', ca),
      writeKeyPair(directory, 'serving', serving),
      writeKeyPair(directory, 'client-ca', clientCA),
      writeKeyPair(directory, 'client', client),
      writeKeyPair(directory, 'upstream-ca', upstreamCA),
      writeKeyPair(directory, 'upstream', upstream),
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
