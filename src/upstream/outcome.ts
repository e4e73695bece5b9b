/** How a forwarded request ended, whichever way it went. */
export interface ForwardOutcome {
  /** HTTP code of the answer, or `CLIENT_CLOSED_REQUEST`. */
  readonly code: number
  readonly abortedBy?: 'client' | 'upstream' | 'gatehouse'
  /** Why, where `abortedBy` alone does not say; for the audit event. */
  readonly cause?: string
  /** Bytes through the tunnel of an upgrade; undefined when there was none. */
  readonly bytesReceived?: number
  readonly bytesSent?: number
}

/** Recorded for a client that left before any answer; nginx's number, never sent. */
export const CLIENT_CLOSED_REQUEST = 499
