/** The port between the relay and the transports: pool (HTTP/1.1) and sessions (HTTP/2). */
import type { RequestBody } from './request-body.ts'
import type { UpstreamResponseHeaders } from './response-headers.ts'

/**
 * Limit on a response head, in bytes; kube-apiserver's are far smaller. With nghttp2's overhead for
 * each field, such a head still fits the 64 KiB that Gatehouse itself can send over HTTP/2.
 */
export const MAX_RESPONSE_HEAD = 49_152

export interface UpstreamRequest {
  /** Whose turn it takes when requests wait. */
  readonly user: string
  readonly method: string
  /** The authorized request target, byte for byte. */
  readonly path: string
  /** From `headers.ts`: name, value pairs. */
  readonly headers: readonly string[]
  /** Announced length of the body in bytes; undefined when chunked. */
  readonly contentLength: number | undefined
  readonly body: RequestBody | undefined
  /** Streams have no timeout for their head or between two chunks. */
  readonly isLongRunning: boolean
}

/** Control over one request, given to the receiver before anything is sent. */
export interface UpstreamControl {
  /** Asks for no more data; some may still come. */
  pause(): void
  resume(): void
  /** Aborts the request: destroys its HTTP/1.1 connection or resets its HTTP/2 stream. */
  abort(reason: Error): void
}

/** Receives a response; `onEnd` or `onError` is called once, last. */
export interface ResponseReceiver {
  /** The request waits for its turn; until `onStart`, this control ends the wait. */
  onWait(control: UpstreamControl): void
  /** The request is about to be sent. */
  onStart(control: UpstreamControl): void
  /** Called for interim (1xx) responses too. Throwing aborts the request. */
  onHead(status: number, headers: UpstreamResponseHeaders): void
  /**
   * @param giveBack when given, the bytes are lent: they must not be read any more once it was called,
   * and it is called when they were written or dropped. Never given for long-running requests
   */
  onData(chunk: Buffer, giveBack?: () => void): void
  /** @param last the last bytes of the body, which are not lent */
  onEnd(last?: Buffer): void
  onError(error: Error): void
}

export interface Transport {
  /** @throws StatusError when too many requests are waiting already */
  send(request: UpstreamRequest, receiver: ResponseReceiver): void
  /** Takes no new requests; resolves when those in flight have ended. */
  close(): Promise<void>
  /** Aborts the requests in flight. */
  destroy(): Promise<void>
}
