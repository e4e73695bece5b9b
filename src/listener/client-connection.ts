/** What is known about a client connection after its TLS handshake: its address and certificate. */
import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

import { MAX_CHAIN } from '../authentication/x509/chain-links.ts'
import { describeCertificate } from '../authentication/x509/describe-certificate.ts'
import type { ClientConnection, PeerCertificate } from '../http/exchange.ts'
import type { ListenerTls } from './tls.ts'

/** What the listener's TLS knows about certificates of clients. */
export type CertificateVerdicts = Pick<
  ListenerTls,
  'revocationProblem' | 'verdictEnd' | 'isIssuedHere' | 'acceptsSelfSigned'
>

/** OpenSSL's code for a client certificate that is signed with its own key, and that no CA file has. */
const SELF_SIGNED_ERROR = 'DEPTH_ZERO_SELF_SIGNED_CERT'

/** What was known when the connection was accepted. */
export interface AcceptedFacts {
  readonly client: ClientAddress
  /** The generation of the client CA bundle that verifies this handshake; 0, which no bundle has. */
  readonly generation: number
}

/** Where a client connects from; the address is in canonical form. */
export interface ClientAddress {
  readonly address: string
  readonly port: number
}

/** The peer of a TCP connection, which is the client unless a load balancer says otherwise. */
export function peerOf(socket: Socket): ClientAddress {
  return {
    address: canonicalAddress(socket.remoteAddress ?? ''),
    port: socket.remotePort ?? 0,
  }
}

/**
 * Reads the peer certificate, if the client sent one, and the result of OpenSSL's verification.
 *
 * @param tls the current TLS configuration, which has the revocation lists and knows how long
 *   a verdict holds
 * @param retire makes this connection finish what runs and take no new requests
 */
export function describeConnection(
  socket: TLSSocket,
  { client, generation }: AcceptedFacts,
  tls: CertificateVerdicts,
  retire: () => void,
): ClientConnection {
  const connection: ClientConnection = {
    remoteAddress: client.address,
    remotePort: client.port,
    peerCertificate: peerCertificate(socket, generation, tls),
    serverName: serverNameOf(socket),
    retire,
  }
  if (connection.peerCertificate !== undefined) sockets.set(connection, socket)
  return connection
}

/** Node has `false` for a client that sends none. */
function serverNameOf({ servername }: TLSSocket & { readonly servername?: unknown }) {
  return typeof servername === 'string' ? servername.toLowerCase() : undefined
}

/** Chains are read from the socket, only at reloads, so that certificates are not kept twice. */
const sockets = new WeakMap<ClientConnection, TLSSocket>()

/** The certificates that the client sent, its own first; empty when it sent none or has closed. */
export function peerChain(connection: ClientConnection): readonly X509Certificate[] {
  return sentChain(sockets.get(connection))
}

/** Length in bytes of the chain that the client sent, from its own certificate on; 0 without one. */
export function chainBytes(socket: TLSSocket): number {
  return sentChain(socket).reduce((sum, { raw }) => sum + raw.length, 0)
}

function sentChain(socket: TLSSocket | undefined): readonly X509Certificate[] {
  const chain: X509Certificate[] = []
  let certificate = socket?.getPeerX509Certificate()
  while (certificate !== undefined && chain.length < MAX_CHAIN) {
    chain.push(certificate)
    certificate = certificate.issuerCertificate
  }
  return chain
}

/** IPv4-mapped IPv6 (a dual-stack listener's view of IPv4) as plain IPv4, without a zone ID. */
export function canonicalAddress(address: string): string {
  const withoutZone = address.split('%', 1)[0] ?? ''
  return withoutZone.startsWith('::ffff:') && withoutZone.includes('.')
    ? withoutZone.slice('::ffff:'.length)
    : withoutZone
}

function peerCertificate(
  socket: TLSSocket,
  generation: number,
  tls: CertificateVerdicts,
): PeerCertificate | undefined {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return undefined
  const error = verifyError(socket, tls)
  return {
    ...describeCertificate(certificate),
    issuedHere: tls.isIssuedHere(certificate) ? certificate.raw : undefined,
    isSelfSigned:
      tls.acceptsSelfSigned && error === SELF_SIGNED_ERROR && isSignedByItself(certificate),
    verifyError: error,
    // Signatures of foreign CAs are not verified for it.
    verdictEndsAt: error === undefined ? tls.verdictEnd(sentChain(socket)) : -Infinity,
    generation,
  }
}

/**
 * Whether the key in a certificate has signed it. OpenSSL compares only the names, and a certificate of a CA
 * whose own name it has must not count as one without a CA, since the CA may have revoked it.
 */
function isSignedByItself(certificate: X509Certificate): boolean {
  try {
    return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey)
  } catch {
    return false
  }
}

/** `authorizationError` has type Error but is OpenSSL's code as a string (node:tls documentation). */
function verifyError(
  socket: TLSSocket,
  { revocationProblem }: Pick<ListenerTls, 'revocationProblem'>,
): string | undefined {
  if (socket.authorized) return revocationProblem(() => sentChain(socket), Date.now())
  const error = socket.authorizationError as unknown
  return typeof error === 'string' ? error : 'CERT_NOT_VERIFIED'
}
