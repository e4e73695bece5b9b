/**
 * The limit of an address, checked before anything else of a request, and the audit of requests
 * beyond it: a limited number of events, whatever the clients send.
 */
import { malformedRequest } from '../audit/malformed-request.ts'
import type { Auditor } from '../audit/record.ts'
import { createRefusalSummary, type SuppressedRefusals } from '../audit/refusal-summary.ts'
import type { ClientConnection } from '../http/exchange.ts'
import { addressKey } from '../limits/address-key.ts'
import type { Limiter } from '../limits/limiter.ts'
import { throttledLog } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import { StatusError } from '../status.ts'

/** One address writes at most 11 events in a window, and all addresses together about 11,000. */
const WINDOW_MS = 60_000
const FULL_EVENTS = 10
const MAX_ADDRESSES = 1_000

/** The refusal of a request beyond the limit. */
export interface OverLimit {
  readonly refusal: StatusError
  /** Whether it gets an event of its own; if not, the summary counts it. */
  readonly hasEvent: boolean
}

export interface AddressGate {
  /**
   * Takes a token of the address. Returns undefined when there was one.
   *
   * @param code of the response when there is none; 429 unless a response was written already
   */
  admit(address: string, code?: number): OverLimit | undefined | Promise<OverLimit | undefined>
  /** Writes the pending summary. */
  close(): void
}

/** Members are read anew for every request. */
export interface AddressGateStages {
  readonly limiter: Pick<Limiter, 'admitAddress'>
  readonly auditor: Pick<Auditor, 'open'>
}

export interface AddressGateEffects {
  readonly log: Log
  /** Milliseconds, monotonic, of the clock that `Auditor.open` takes. */
  readonly now?: () => number
}

/** Creates the gate; its timer runs only while a summary is pending. */
export function createAddressGate(
  { stages }: { readonly stages: AddressGateStages },
  { log, now = () => performance.now() }: AddressGateEffects,
): AddressGate {
  let timer: NodeJS.Timeout | undefined
  const summary = createRefusalSummary(
    { window: WINDOW_MS, fullEvents: FULL_EVENTS, maxAddresses: MAX_ADDRESSES },
    { write, now },
  )

  function write(refusals: SuppressedRefusals): boolean {
    try {
      const request = malformedRequest(connectionOf(refusals.address ?? ''))
      stages.auditor.open(request, refusals.since).close(outcomeOf(refusals))
      return true
    } catch (error) {
      const { address, count } = refusals
      const message = 'summary of refusals could not be recorded'
      throttledLog(log).warn({ err: error, address, count }, message)
      return false
    }
  }

  const end = (): void => {
    clearTimeout(timer)
    timer = undefined
    summary.end()
  }

  function overLimit(error: unknown, address: string, code: number | undefined): OverLimit {
    if (!(error instanceof StatusError)) throw error
    const hasEvent = summary.add(addressKey(address), address, code ?? error.code)
    timer ??= setTimeout(end, WINDOW_MS).unref()
    return { refusal: error, hasEvent }
  }

  return {
    admit(address, code) {
      try {
        const admitted = stages.limiter.admitAddress(address)
        if (admitted === undefined) return undefined
        return admitted.then(
          () => undefined,
          (error: unknown) => overLimit(error, address, code),
        )
      } catch (error) {
        return overLimit(error, address, code)
      }
    },
    close: end,
  }
}

function outcomeOf({ address, count, codes }: SuppressedRefusals) {
  const whose = address === undefined ? 'other addresses' : addressKey(address)
  return {
    code: 429,
    reason: 'TooManyRequests',
    message: `${count} more refusals beyond the limit of ${whose}: ${codes}`,
    suppressedEvents: count,
    bytesReceived: 0,
    bytesSent: 0,
  }
}

function connectionOf(remoteAddress: string): ClientConnection {
  return { remoteAddress, remotePort: 0, peerCertificate: undefined, retire: () => undefined }
}
