/**
 * Checks whether the client of an HTTP/2 session is still connected. When a malformed frame arrives on
 * a session that is closing, node stops reading it and emits neither `end` nor `close` when the client
 * disconnects, so that its requests would run forever.
 */
import type { Http2Session } from 'node:http2'

import type { Guard } from './exception-guard.ts'

/** The part of a session's TLS socket that is used here. */
export interface LiveSocket {
  readonly bytesRead: number
  destroy(): unknown
  once(event: 'close', listener: () => void): unknown
}

export interface LivenessOptions {
  readonly session: Http2Session
  readonly socket: LiveSocket
  readonly guard: Guard
  /** Whether a request runs; without one, the idle timeout is sufficient. */
  readonly isBusy: () => boolean
  /** Milliseconds. */
  readonly interval: number
}

/** After how many intervals without a byte from the client the session is closed. */
const MAX_UNANSWERED = 2

/**
 * Sends PING (RFC 9113 section 6.7) to a silent client while requests run or the session is closing,
 * and closes the session when no byte has arrived in two intervals. Any byte counts as a sign of life:
 * behind much data on a slow line, the response to PING is late, but window updates arrive meanwhile.
 */
export function watchLiveness({ session, socket, guard, isBusy, interval }: LivenessOptions): void {
  let lastBytesRead = socket.bytesRead
  let unanswered = 0
  const abort = (): void => {
    session.destroy(new Error('the client did not respond to PING'))
    // A session that was closing only half-closes its socket, and would wait for the client again.
    socket.destroy()
  }
  const check = guard(() => {
    // A destroyed session neither reads nor sends; the client has an interval to close its side.
    if (session.destroyed) {
      if (unanswered > 0) socket.destroy()
      unanswered += 1
      return
    }
    const { bytesRead } = socket
    if (bytesRead !== lastBytesRead || !(isBusy() || session.closed)) {
      lastBytesRead = bytesRead
      unanswered = 0
    } else if (unanswered === MAX_UNANSWERED || !ping(session)) abort()
    else unanswered += 1
  })
  const timer = setInterval(check, interval).unref()
  socket.once('close', () => clearInterval(timer))
}

/** @returns whether something was sent that the client must respond to */
function ping(session: Http2Session): boolean {
  try {
    if (!session.closed) return session.ping(() => undefined)
    // node sends no PING on a closing session; SETTINGS must be acknowledged as well.
    session.settings({})
    return true
  } catch {
    return false
  }
}
