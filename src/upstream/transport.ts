/** The port between the relay and the two ways to the API server that carry answers. */
import type { Readable } from 'node:stream'

import type { UpstreamResponseHeaders } from './response-headers.ts'

/**
 * Bytes of an answer's head; kube-apiserver's stay far below. With the room that nghttp2 reserves for
 * each field it stays under the 64 KiB that Gatehouse itself can send over HTTP/2.
 */
export const MAX_ANSWER_HEAD = 49_152

export interface UpstreamRequest {
  readonly method: string
  /** The judged target, byte for byte. */
  readonly path: string
  /** From `headers.ts`: name, value pairs. */
  readonly headers: readonly string[]
  /** Announced length of the body in bytes; undefined: chunked. */
  readonly contentLength: number | undefined
  readonly body: Readable | undefined
  /** Streams have no bound on the wait for their head or between two pieces. */
  readonly isLongRunning: boolean
}

/** Handed out before anything is sent; one request each. */
export interface UpstreamControl {
  pause(): void
  resume(): void
  /** Breaks the request off; its HTTP/1.1 connection is destroyed, its HTTP/2 stream reset. */
  abort(reason: Error): void
}

/** Takes an answer; `onEnd` or `onError` comes once, last. */
export interface AnswerReceiver {
  onStart(control: UpstreamControl): void
  /** Status 1xx too. Throwing breaks the request off. */
  onHead(status: number, headers: UpstreamResponseHeaders): void
  onData(chunk: Buffer): void
  onEnd(): void
  onError(error: Error): void
}

export interface Transport {
  /** @throws StatusError 503 when too many requests wait already, or of the receiver's own */
  send(request: UpstreamRequest, receiver: AnswerReceiver): void
  /** Requests under way go on; resolves when they are done. */
  close(): Promise<void>
  destroy(): Promise<void>
}

/** TLS to the API server. */
export interface UpstreamTls {
  readonly ca: string
  readonly cert: string | undefined
  readonly key: string | undefined
  /** Name that the certificate must carry; the host of the URL unless a kubeconfig says otherwise. */
  readonly serverName: string
}

export interface UpstreamEndpoint {
  /** Name or address, without brackets; the scheme is always `https`. */
  readonly hostname: string
  readonly port: number
  /** `host[:port]` as it goes into `Host`. */
  readonly host: string
  readonly tls: UpstreamTls
}

export interface ConnectionLimits {
  readonly maxConnections: number
  /** Milliseconds. */
  readonly connectTimeout: number
  readonly idleTimeout: number
  readonly responseHeaderTimeout: number
  /** How long a client may neither read its answer nor send its body, where that is its turn. */
  readonly stallTimeout: number
}
