import { createPublicKey } from 'node:crypto'

import type { Authentication } from '../../authentication/authenticator.ts'
import type { CertificateIssuer } from '../../issuance/certificate-issuer.ts'
import type { Limiter } from '../../limits/limiter.ts'
import { refuseLocked } from '../../locks/locks.ts'
import { StatusError } from '../../status.ts'
import { recordChange } from '../own-response.ts'
import { requireIssuer } from './certificate-page.ts'
import { issuedView } from './certificate-views.ts'
import { clearCookie, SIGN_IN_COOKIE } from './cookies.ts'
import type { KubeconfigCluster } from './kubeconfig-file.ts'
import { htmlPage, type PageRequest, type PageResult } from './page.ts'
import type { PendingCertificate } from './relying-party.ts'
import type { PagesStages } from './state.ts'

export interface IssueOptions {
  readonly certificates: CertificateIssuer | undefined
  readonly stages: PagesStages & { readonly limiter: Pick<Limiter, 'admitUser'> }
  readonly displayName: string
  readonly cluster: () => KubeconfigCluster
}

/** The sign-in that has just ended at the issuer. */
export interface FreshSignIn {
  readonly authentication: Authentication
  /** As a session names it. */
  readonly subject: string
}

/**
 * Ends a sign-in with a certificate for the key that the browser has sent before, and shows it. Every rule of the
 * API for certificates applies (sign-in/certificates.ts).
 *
 * @throws StatusError 403 when somebody else has signed in than who sent the key; and those of the issuance
 */
export async function issueCertificate(
  { exchange, record, observed }: PageRequest,
  { authentication, subject }: FreshSignIn,
  wanted: PendingCertificate,
  options: IssueOptions,
): Promise<PageResult> {
  const { stages, displayName, cluster } = options
  const { username } = authentication.user
  const issuer = requireIssuer(options)
  if (subject !== wanted.subject) {
    throw new StatusError(
      'Forbidden',
      'you have signed in as another user than the one who asked for the certificate: no certificate was issued',
    )
  }
  // A GET, since the issuer sends the browser here; but it creates something.
  record.servedHere('create')
  observed.verb = 'create'
  observed.requestClass = 'write'
  const slot = await stages.limiter.admitUser(authentication.user, 'write')
  try {
    record.admitted()
    await recordChange(record)
    const key = Buffer.from(wanted.spki, 'base64url')
    const request = createPublicKey({ key, format: 'der', type: 'spki' })
    const issued = await issuer.issue({ authentication, request }).catch((error: unknown) => {
      throw tooOld(error)
    })
    // A lock may have come while it was made.
    refuseLocked(stages.locks, authentication, exchange.request.connection)
    record.issued(issued)
    const view = issuedView({ displayName, username, issued, cluster: cluster() })
    return htmlPage(200, view, clearCookie(SIGN_IN_COOKIE))
  } finally {
    slot.release()
  }
}

/** What the API says to the command line (RFC 9470) means something else here. */
function tooOld(error: unknown): unknown {
  if (!(error instanceof StatusError) || error.reason !== 'Unauthorized') return error
  return new StatusError(
    'Forbidden',
    'your sign-in is too old for a certificate, and the issuer did not have you sign in anew: sign out, and sign in again',
    { cause: error },
  )
}
