/** The client certificate that a token is bound to (RFC 8705), and where its key is. */
import { readFileSync } from 'node:fs'

import { ClientFailure } from '../failure.ts'
import type { CertificateFiles, CertificatePair, Session } from './session.ts'

/** What a credential plugin needs of it is small, so nothing is loaded for it. */
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g

/**
 * The certificate and key of a user.
 *
 * @returns the certificates of the one file and nothing else of it, and the other file as it is
 * @throws ClientFailure when one cannot be read, or when there is no certificate
 */
export function readCertificateFiles(files: CertificateFiles): CertificatePair {
  const certificates = readText(files.certificate).match(CERTIFICATE) ?? []
  if (certificates.length === 0) {
    throw new ClientFailure('usage', `${files.certificate} contains no certificate in PEM`)
  }
  return { certificate: `${certificates.join('\n')}\n`, key: readText(files.key) }
}

/**
 * The certificate that the token of a session is bound to, with its key; undefined for a token that is good by
 * itself.
 *
 * @throws ClientFailure when the files of the user do not have it any more
 */
export function boundCertificate({ facts, secrets }: Session): CertificatePair | undefined {
  const { boundTo } = secrets
  const { certificateFiles: files } = facts
  if (boundTo === undefined || files === undefined) return boundTo
  const pair = readCertificateFiles(files)
  if (pair.certificate === boundTo.certificate) return pair
  throw new ClientFailure(
    'signInRequired',
    `${files.certificate} is another certificate than the one that you signed in with, so its token cannot be used`,
  )
}

/** Whether a token can be sent: the certificate that it is bound to is still there, if it is bound to one. */
export function hasBoundCertificate(session: Session): boolean {
  if (session.facts.certificateFiles === undefined) return true
  try {
    boundCertificate(session)
    return true
  } catch {
    return false
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const { message } = error as Error
    throw new ClientFailure('file', `cannot read the client certificate: ${message}`, {
      cause: error,
    })
  }
}
