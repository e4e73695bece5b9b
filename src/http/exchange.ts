/**
 * One request and its response, independent of the HTTP version. The listener's adapters create it,
 * every stage reads it, and only `refusal.ts` and `upstream/` write the response.
 */
import type { Duplex } from 'node:stream'

/** What TLS reports about a client certificate; `authentication/x509` accepts or rejects it. */
export interface PeerCertificate {
  /** Subject attributes as Node decodes them: `{ CN: 'ada', O: ['a', 'b'] }`. */
  readonly subject: Readonly<Record<string, string | readonly string[]>>
  /** Extended key usages by OID; absent when the certificate has no such extension. */
  readonly extKeyUsage: readonly string[] | undefined
  /** Whether it is the certificate of a CA (basicConstraints, RFC 5280 section 4.2.1.9). */
  readonly isCA: boolean
  /** SHA-256 of the DER, lower-case hex. */
  readonly sha256: string
  /** Serial number, hexadecimal digits. */
  readonly serialNumber: string
  /**
   * The DER of a certificate that Gatehouse's own CA has signed (`authentication.issuedCertificates`);
   * undefined for any other.
   */
  readonly issuedHere: Uint8Array | undefined
  /**
   * Whether it is signed with its own key and no CA vouches for it, where such certificates are accepted
   * beside a token that is bound to one (`authentication.boundTokens`); false elsewhere.
   */
  readonly isSelfSigned: boolean
  /** Milliseconds since the epoch, as is `notAfter`. */
  readonly notBefore: number
  readonly notAfter: number
  /** OpenSSL's error code for the chain, such as `CERT_HAS_EXPIRED`; undefined when it verified. */
  readonly verifyError: string | undefined
  /**
   * When the first certificate or revocation list expires that the verdict relies on, in milliseconds
   * since the epoch.
   */
  readonly verdictEndsAt: number
  /** The load of the client CA bundle and CRL that `verifyError` is based on; an older one is void. */
  readonly generation: number
}

/** One client connection, which several exchanges may share. */
export interface ClientConnection {
  /** The peer's address in canonical form; an IPv4-mapped IPv6 address is given as IPv4. */
  readonly remoteAddress: string
  readonly remotePort: number
  /** Undefined when the client presented no certificate. */
  readonly peerCertificate: PeerCertificate | undefined
  /** The name of the server for which TLS was set up (SNI), in lower case; absent without one. */
  readonly serverName?: string | undefined
  /**
   * Lets running requests finish and accepts no new ones: GOAWAY over HTTP/2, `Connection: close` over
   * HTTP/1.1.
   */
  retire(): void
}

/** Name, value, name, value and so on, in order. Names keep their case over HTTP/1.1. */
export type RawHeaders = readonly string[]

/** A client's request, as received: nothing in it has been checked yet. */
export interface ClientRequest {
  readonly protocol: 'HTTP/1.1' | 'HTTP/2.0'
  readonly method: string
  /** The request target as received: RFC 9112 section 3.2, or `:path`. */
  readonly rawTarget: string
  /** `Host` or `:authority`. */
  readonly authority: string | undefined
  /** Without pseudo-headers. */
  readonly rawHeaders: RawHeaders
  readonly connection: ClientConnection
  /** Whether the client asks to switch this connection to another protocol (RFC 9110 section 7.8). */
  readonly isUpgrade: boolean
  /** In bytes; undefined when not announced (chunked, or HTTP/2 without `content-length`). */
  readonly contentLength: number | undefined
  /** False only when the request certainly has no body. */
  readonly hasBody: boolean
}

/** Receives the request body without a `Readable` in between; back pressure is `pauseBody` and `resumeBody`. */
export interface BodyReceiver {
  onData(chunk: Buffer): void
  /** The body is complete. */
  onEnd(): void
  /** The client disconnected or violated the framing before the body was complete. */
  onError(error: Error): void
}

/** The response to a client. The caller has already checked the headers. */
export interface ClientResponse {
  readonly headersSent: boolean
  /** Body bytes written so far. */
  readonly bytesWritten: number
  /** Sets the final status and headers; called once. */
  writeHead(status: number, headers: RawHeaders): void
  /** Sends the head without waiting for the first body bytes, which a watch may not have for long. */
  flushHead(): void
  /**
   * Writes body bytes, however many wait already.
   *
   * @param onTaken called once nobody reads the bytes any more: the connection has taken or dropped them
   */
  write(chunk: Buffer, onTaken?: () => void): void
  end(chunk?: Buffer | string): void
  /** Aborts the response so that the client can tell that it is incomplete. */
  destroy(error?: Error): void
}

export interface Exchange {
  readonly request: ClientRequest
  readonly response: ClientResponse
  /** The first value of a header, by lower-case name; undefined when absent. */
  header(name: string): string | undefined
  /** Starts receiving the body; called once. Sends `100 Continue` first if the client expects it. */
  receiveBody(receiver: BodyReceiver): void
  pauseBody(): void
  resumeBody(): void
  /**
   * Marks the exchange as authenticated. Without a connection slot left, connections that have no
   * authenticated request may be closed, so that unauthenticated clients cannot occupy all slots.
   */
  recognized(): void
  /** Calls back once, if the client disconnects before the response has ended. */
  onAbort(callback: (error: Error) => void): void
  /** Calls back once, at the end of the exchange: the response was flushed or the client disconnected. */
  onClose(callback: () => void): void
  /**
   * Takes over the raw connection after a `101`. `head` has the bytes that the client already sent
   * after the request head.
   *
   * @throws Error unless `request.isUpgrade`
   */
  takeSocket(): { readonly socket: Duplex; readonly head: Buffer }
  /** Request body bytes received so far. */
  readonly bytesReceived: number
}
