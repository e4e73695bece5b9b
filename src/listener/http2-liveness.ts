/**
 * Whether the client of an HTTP/2 session is still there. node stops reading a session that is
 * closing when a bad frame comes, and then nothing tells that its client has left: neither `end` nor
 * `close`, so that its requests would run for ever.
 */
import type { Http2Session } from 'node:http2'

import type { Guard } from './exception-guard.ts'

/** What is read of a session's TLS socket. */
export interface LiveSocket {
  readonly bytesRead: number
  destroy(): unknown
  once(event: 'close', listener: () => void): unknown
}

export interface LivenessOptions {
  readonly session: Http2Session
  readonly socket: LiveSocket
  readonly guard: Guard
  /** Whether a request runs; while none does, the idle time is bound enough. */
  readonly isBusy: () => boolean
  /** Milliseconds. */
  readonly interval: number
}

/** Intervals in which a client may say nothing at all, asked by PING as it is. */
const UNANSWERED = 2

/**
 * Asks by PING (RFC 9113 section 6.7) who says nothing while requests run or the session is closing,
 * and breaks the session off when no byte has come in two intervals. Any byte counts as an answer:
 * behind much data on a slow line, an answer to PING comes late, and window updates meanwhile.
 */
export function watchLiveness({ session, socket, guard, isBusy, interval }: LivenessOptions): void {
  let heard = socket.bytesRead
  let asked = 0
  const breakOff = (): void => {
    session.destroy(new Error('the client does not answer PING'))
    // A session that was closing only half-closes it, and would wait for the client again.
    socket.destroy()
  }
  const look = guard(() => {
    // Nothing is sent or read any more; the client has had an interval to close its side.
    if (session.destroyed) {
      if (asked > 0) socket.destroy()
      asked += 1
      return
    }
    const { bytesRead } = socket
    if (bytesRead !== heard || !(isBusy() || session.closed)) {
      heard = bytesRead
      asked = 0
    } else if (asked === UNANSWERED || !asks(session)) breakOff()
    else asked += 1
  })
  const timer = setInterval(look, interval).unref()
  socket.once('close', () => clearInterval(timer))
}

function asks(session: Http2Session): boolean {
  try {
    if (!session.closed) return session.ping(() => undefined)
    // node sends no PING once it is closing; SETTINGS has to be acknowledged as well.
    session.settings({})
    return true
  } catch {
    return false
  }
}
