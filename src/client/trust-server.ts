import { fetchDiscovery, type Discovery } from './discovery.ts'
import { ClientFailure } from './failure.ts'
import {
  certificatesIn,
  describeCertificate,
  fingerprintOf,
  isSameFingerprint,
} from './net/certificates.ts'
import { createHttpClient } from './net/http-client.ts'
import { describeNetworkError, isUntrusted } from './net/network-error.ts'
import type { Server } from './server.ts'
import { confirm, type Terminal } from './terminal.ts'

export interface TrustRequest {
  readonly origin: string
  /** PEM; a CA that the user has given, or that a kubeconfig has for the server. */
  readonly knownCA: string | undefined
  /** SHA-256 of CAs that the user trusts, from somewhere else. */
  readonly fingerprints: readonly string[]
}

export interface TrustedServer {
  readonly server: Server
  readonly discovery: Discovery
}

/**
 * Finds the CA of a server: a known one, those that this machine trusts, or the one that the server
 * itself names, once the user has compared its fingerprint.
 *
 * @throws ClientFailure when the server cannot be reached or trusted
 */
export async function trustServer(
  { origin, knownCA, fingerprints }: TrustRequest,
  terminal: Terminal,
): Promise<TrustedServer> {
  if (fingerprints.length === 0) {
    try {
      return await verified(origin, knownCA ?? '')
    } catch (error) {
      if (!isUntrusted(error)) throw unreachable(origin, error)
      if (knownCA !== undefined) {
        const message = `the certificate of ${origin} is not signed by the CA that you have for it`
        throw new ClientFailure('untrusted', `${message}: ask your Gatehouse administrator`)
      }
    }
  }
  const named = await namedCAs(origin)
  const chosen = await chosenCAs(origin, named, fingerprints, terminal)
  try {
    return await verified(origin, chosen.map((pem) => `${pem}\n`).join(''))
  } catch (error) {
    if (!isUntrusted(error)) throw unreachable(origin, error)
    throw new ClientFailure('untrusted', `the certificate of ${origin} is not signed by this CA`)
  }
}

async function verified(origin: string, certificateAuthority: string): Promise<TrustedServer> {
  const http = createHttpClient({ ca: certificateAuthority })
  try {
    const discovery = await fetchDiscovery(origin, http)
    return { server: { origin, certificateAuthority }, discovery }
  } finally {
    await http.close()
  }
}

/**
 * The CAs that a server names for itself. Anybody could have sent them: nothing else of this response is
 * used, and no credential is sent.
 */
async function namedCAs(origin: string): Promise<readonly string[]> {
  const http = createHttpClient({ ca: '', isUnverified: true })
  try {
    const { certificateAuthority } = await fetchDiscovery(origin, http)
    const certificates = certificatesIn(certificateAuthority)
    if (certificates.length > 0) return certificates
  } catch (error) {
    throw unreachable(origin, error)
  } finally {
    await http.close()
  }
  throw new ClientFailure(
    'untrusted',
    `the certificate of ${origin} is not signed by a CA that this machine trusts: ` +
      'ask your Gatehouse administrator for the CA, and use --ca-file FILE',
  )
}

async function chosenCAs(
  origin: string,
  named: readonly string[],
  fingerprints: readonly string[],
  terminal: Terminal,
): Promise<readonly string[]> {
  const list = named.map((pem) => `  ${describeCertificate(pem)}`).join('\n')
  if (fingerprints.length > 0) {
    const chosen = named.filter((pem) =>
      fingerprints.some((fingerprint) => isSameFingerprint(fingerprint, fingerprintOf(pem))),
    )
    if (chosen.length > 0) return chosen
    const message = `the CA of ${origin} does not have the fingerprint of --ca-fingerprint:\n\n${list}\n`
    const hint = 'check the URL, and ask your Gatehouse administrator for the fingerprint'
    throw new ClientFailure('untrusted', `${message}\n${hint}`)
  }
  const what = `${origin} has a CA that this machine does not know:\n\n${list}\n`
  if (!terminal.isInteractive) {
    const hint =
      'compare the fingerprint with the one that your administrator gives you, and pass it with --ca-fingerprint'
    throw new ClientFailure('untrusted', `${what}\n${hint}`)
  }
  terminal.print(`${what}\nCompare the fingerprint with the one that your administrator gives you.`)
  // Each by itself: the server is not verified yet, and may list the expected CA beside its own.
  const trusted: string[] = []
  for (const pem of named) {
    const which = named.length === 1 ? '' : ` (SHA-256 ${fingerprintOf(pem)})`
    if (await confirm(terminal, `Do you trust this CA${which}?`)) trusted.push(pem)
  }
  if (trusted.length > 0) return trusted
  throw new ClientFailure('untrusted', `${origin} is not trusted: nothing was written`)
}

function unreachable(origin: string, error: unknown): ClientFailure {
  if (error instanceof ClientFailure) return error
  const reason = describeNetworkError(error)
  return new ClientFailure('unavailable', `cannot reach ${origin}: ${reason}`, { cause: error })
}
