/**
 * One request and its answer, whichever HTTP version carries them. The listener's adapters make it;
 * every stage reads it; only `refusal.ts` and `upstream/` write the answer.
 */
import type { Duplex } from 'node:stream'

/** What TLS says of the certificate that a client presented; `authentication/x509.ts` judges it. */
export interface PeerCertificate {
  /** Subject attributes as Node decodes them: `{ CN: 'ada', O: ['a', 'b'] }`. */
  readonly subject: Readonly<Record<string, string | readonly string[]>>
  /** Extended key usages by OID; absent when the certificate has no such extension. */
  readonly extKeyUsage: readonly string[] | undefined
  /** SHA-256 of the DER, lower-case hex. */
  readonly sha256: string
  /** Milliseconds since the epoch. */
  readonly notBefore: number
  readonly notAfter: number
  /** OpenSSL's error code for the chain (`CERT_HAS_EXPIRED`…), or undefined when it verified. */
  readonly verifyError: string | undefined
  /** Which loading of the client CA bundle and CRL the verdict came from; stale ones are void. */
  readonly generation: number
}

/** One client connection; several exchanges share it. */
export interface ClientConnection {
  /** Canonical textual address of the peer; IPv4-mapped IPv6 is IPv4. */
  readonly remoteAddress: string
  readonly remotePort: number
  /** Undefined when the client presented no certificate. */
  readonly peerCertificate: PeerCertificate | undefined
  /** Finish what runs, take nothing new: GOAWAY for HTTP/2, `Connection: close` for HTTP/1.1. */
  retire(): void
}

/** Name, value, name, value … in the order received. Names keep their case over HTTP/1.1. */
export type RawHeaders = readonly string[]

/** A client's request. Nothing in it has been judged yet. */
export interface ClientRequest {
  readonly protocol: 'HTTP/1.1' | 'HTTP/2.0'
  readonly method: string
  /** The request target as it came: RFC 9112 section 3.2, or `:path`. */
  readonly rawTarget: string
  /** `Host` or `:authority`. */
  readonly authority: string | undefined
  /** Without pseudo-headers. */
  readonly rawHeaders: RawHeaders
  readonly connection: ClientConnection
  /** Whether the client asks to leave HTTP for another protocol on this connection. */
  readonly isUpgrade: boolean
  /** Announced body length in bytes; undefined when not announced (chunked, or HTTP/2 without content-length). */
  readonly contentLength: number | undefined
  /** False when the message surely has no body. */
  readonly hasBody: boolean
}

/** How the request body is taken, without a Readable in between: back pressure is `pause`/`resume`. */
export interface BodyReceiver {
  onData(chunk: Buffer): void
  /** The body is whole, as announced. */
  onEnd(): void
  /** The client went away, or broke framing, before the end. */
  onError(error: Error): void
}

/** The answer to a client. Headers are name, value pairs already judged by the writer. */
export interface ClientResponse {
  readonly headersSent: boolean
  /** Bytes of body written so far. */
  readonly bytesWritten: number
  /** Final status and headers; once. */
  writeHead(status: number, headers: RawHeaders): void
  /** Sends the head now, without waiting for the first bytes of body: a watch may stay silent. */
  flushHead(): void
  /** False: stop until `onDrain` calls back. */
  write(chunk: Buffer): boolean
  onDrain(callback: () => void): void
  end(chunk?: Buffer | string): void
  /** Break the answer off so that the client sees it is not whole. */
  destroy(error?: Error): void
}

export interface Exchange {
  readonly request: ClientRequest
  readonly response: ClientResponse
  /** First value of a header, by lower-case name; undefined when absent. */
  header(name: string): string | undefined
  /** Starts the flow of the body; once. Sends `100 Continue` first when the client waits for it. */
  receiveBody(receiver: BodyReceiver): void
  pauseBody(): void
  resumeBody(): void
  /**
   * Its user is known now. A connection on which nobody's request runs may go when there is no place
   * for another one: else strangers could hold all of them.
   */
  recognised(): void
  /** Called once, when the client is gone before the answer ended. */
  onAbort(callback: (error: Error) => void): void
  /** Called once, when the answer is wholly handed over or the client is gone: the end of the exchange. */
  onClose(callback: () => void): void
  /**
   * Takes the bare connection over after `101`; throws unless `request.isUpgrade`. `head` is what
   * the client already sent behind the request head, untouched until now.
   */
  takeSocket(): { readonly socket: Duplex; readonly head: Buffer }
  /** Bytes of request body received so far. */
  readonly bytesReceived: number
}
