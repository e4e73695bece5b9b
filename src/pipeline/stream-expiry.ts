/**
 * Ends streams whose credential has expired, or that are older than streams may become, where the
 * administrator says so. kube-apiserver does neither.
 */
import { isLongRunning } from '../request/long-running.ts'
import { StatusError } from '../status.ts'
import type { LiveRequest, LiveRequests } from './live-requests.ts'

/** `authentication.streams` of the configuration; durations in milliseconds. */
export interface StreamExpiryOptions {
  readonly onExpiry: 'keep' | 'end'
  /** How long a stream may go on after its credential has expired. */
  readonly grace: number
  /** Undefined: no limit. */
  readonly maxAge?: number | undefined
}

export interface StreamExpiryEffects {
  readonly live: Pick<LiveRequests, 'endWhere'>
  /** Milliseconds since the epoch. */
  readonly now?: () => number
  /** Milliseconds, monotonic: an age does not follow the clock of the machine. */
  readonly elapsed?: () => number
  /** Called when streams were ended. */
  readonly onEnded: (streams: number) => void
}

export interface StreamExpiry {
  /** Ends the streams whose time is over. */
  check(): void
  /** Stops checking. */
  close(): void
}

const CHECK_INTERVAL_MS = 1_000

/** Creates it; streams are checked every second, and never if the options end none. */
export function createStreamExpiry(
  { onExpiry, grace, maxAge = Infinity }: StreamExpiryOptions,
  { live, now = Date.now, elapsed = () => performance.now(), onEnded }: StreamExpiryEffects,
): StreamExpiry {
  // Kept here, so that a request costs nothing more where no stream is ended.
  const firstSeen = new WeakMap<LiveRequest, number>()

  function isTooOld(request: LiveRequest): boolean {
    const at = elapsed()
    const since = firstSeen.get(request)
    if (since === undefined) firstSeen.set(request, at)
    return at - (since ?? at) >= maxAge
  }

  function reasonOf(request: LiveRequest): StatusError | undefined {
    const { attributes, authentication, connection } = request
    if (attributes === undefined || !isLongRunning(attributes.info)) return undefined
    // Of a front proxy, its certificate is the credential.
    const { expiresAt = connection.peerCertificate?.notAfter ?? Infinity } = authentication
    if (onExpiry === 'end' && now() >= expiresAt + grace) {
      return new StatusError('Unauthorized', EXPIRED)
    }
    // Not the user's fault: a client may connect again at once.
    return isTooOld(request) ? new StatusError('Timeout', TOO_OLD) : undefined
  }

  function check(): void {
    const ended = live.endWhere(reasonOf)
    if (ended > 0) onEnded(ended)
  }

  const isNeeded = onExpiry === 'end' || maxAge !== Infinity
  const timer = isNeeded ? setInterval(check, CHECK_INTERVAL_MS).unref() : undefined
  return { check, close: () => clearInterval(timer) }
}

const EXPIRED = 'the credential that opened this stream has expired; sign in again'
const TOO_OLD = 'the stream has reached the age at which Gatehouse ends streams; open it again'
