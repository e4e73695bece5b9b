import { createPrivateKey, X509Certificate } from 'node:crypto'

import { objectOf, reasonOf, sendToServer } from '../api-request.ts'
import { ClientFailure } from '../failure.ts'
import { certificatesIn } from '../net/certificates.ts'
import type { HttpResponse } from '../net/http-client.ts'
import type { Server } from '../server.ts'
import type { CertificatePair } from '../session/session.ts'
import { newRequest } from './new-request.ts'

export interface ObtainedCertificate extends CertificatePair {
  /** When it is renewed, and when it expires, in milliseconds since the epoch. */
  readonly renewAt: number
  readonly expiresAt: number
}

/** The token of a sign-in, or a password. */
export type SignInProof =
  | { readonly token: string }
  | {
      readonly signIn: {
        readonly method: string
        readonly username: string
        readonly password: string
      }
    }

const PATH = '/gatehouse/api/v1/certificates'
/** It is renewed before it expires: by a tenth of what is left of it, at most a minute. */
const MAX_MARGIN_MS = 60_000

/**
 * Exchanges a sign-in for a client certificate.
 *
 * @returns undefined when the sign-in is too old for one (RFC 9470)
 * @throws ClientFailure
 */
export async function obtainCertificate(
  server: Server,
  proof: SignInProof,
): Promise<ObtainedCertificate | undefined> {
  const { request, key } = newRequest()
  const order = { apiVersion: 'gatehouse/v1', kind: 'CertificateOrder', request }
  const { token, ...inBody } = { token: undefined, ...proof }
  const response = await sendToServer(server, token === undefined ? {} : { token }, {
    path: PATH,
    method: 'POST',
    body: JSON.stringify({ ...order, ...inBody }),
  })
  if (response.status === 201) return parseCertificate(server, response, key)
  if (isTooOld(response)) return undefined
  const message = reasonOf(response)
  if (response.status === 401 && 'signIn' in proof) throw new ClientFailure('signInFailed', message)
  const kind = response.status < 500 && response.status !== 429 ? 'rejected' : 'unavailable'
  throw new ClientFailure(kind, `${server.origin} issues no certificate: ${message}`)
}

function isTooOld({ status, headers }: HttpResponse): boolean {
  const challenge = String(headers['www-authenticate'] ?? '')
  return status === 401 && challenge.includes('error="insufficient_user_authentication"')
}

/** Nothing that the server sends goes into the cache but one certificate, for the key that was made. */
function parseCertificate(
  { origin }: Server,
  { body }: HttpResponse,
  key: string,
): ObtainedCertificate {
  const { certificate } = objectOf(body)
  const [pem, ...others] = certificatesIn(typeof certificate === 'string' ? certificate : '')
  const parsed = pem === undefined || others.length > 0 ? undefined : parse(pem)
  if (pem === undefined || parsed?.checkPrivateKey(createPrivateKey(key)) !== true) {
    throw new ClientFailure(
      'unavailable',
      `the certificate of ${origin} is not one for the key that it was requested for: ask your Gatehouse administrator`,
    )
  }
  const expiresAt = Date.parse(parsed.validTo)
  const left = expiresAt - Date.now()
  if (!(left > 0)) {
    throw new ClientFailure(
      'unavailable',
      `the certificate of ${origin} has expired: compare the clock of this machine`,
    )
  }
  const renewAt = expiresAt - Math.min(MAX_MARGIN_MS, left / 10)
  return { certificate: `${pem}\n`, key, renewAt, expiresAt }
}

function parse(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem)
  } catch {
    return undefined
  }
}
