/** The port between the relay and the two ways to the API server that carry answers. */
import type { Readable } from 'node:stream'

import type { UpstreamResponseHeaders } from './response-headers.ts'

/**
 * Bytes of an answer's head; kube-apiserver's stay far below. With the room that nghttp2 reserves for
 * each field it stays under the 64 KiB that Gatehouse itself can send over HTTP/2.
 */
export const MAX_RESPONSE_HEAD = 49_152

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
export interface ResponseReceiver {
  onStart(control: UpstreamControl): void
  /** Status 1xx too. Throwing breaks the request off. */
  onHead(status: number, headers: UpstreamResponseHeaders): void
  onData(chunk: Buffer): void
  onEnd(): void
  onError(error: Error): void
}

export interface Transport {
  /** @throws StatusError 503 when too many requests wait already, or of the receiver's own */
  send(request: UpstreamRequest, receiver: ResponseReceiver): void
  /** Requests under way go on; resolves when they are done. */
  close(): Promise<void>
  destroy(): Promise<void>
}
