/** How a forwarded request ended, over whichever transport. */
export interface ForwardOutcome {
  /** HTTP status of the response, or `CLIENT_CLOSED_REQUEST`. */
  readonly code: number
  readonly abortedBy?: 'client' | 'upstream' | 'gatehouse'
  /** Why it was aborted, where `abortedBy` alone does not say it; for the audit event. */
  readonly cause?: string
  /** Bytes through the tunnel of an upgrade; undefined without a tunnel. */
  readonly bytesReceived?: number
  readonly bytesSent?: number
}

/** Recorded when the client closed before any response; nginx's status 499, never sent. */
export const CLIENT_CLOSED_REQUEST = 499
