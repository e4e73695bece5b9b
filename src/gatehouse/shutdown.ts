/**
 * The shutdown, step by step:
 *
 * 1. `/readyz` fails, so that load balancers choose another replica; requests are still served
 * 2. after `delay`, the listener accepts no new connection; idle ones close, HTTP/2 gets GOAWAY
 * 3. until `gracePeriod` is over, running requests and streams continue
 * 4. at the deadline, the remaining streams are ended and connections closed
 * 5. upstream connections close, the audit log is flushed, Redis gets what it does not know of yet, and the
 *    probes close last
 */
import { setTimeout as sleep } from 'node:timers/promises'

import type { Auditor } from '../audit/record.ts'
import type { Listener } from '../listener/listener.ts'
import type { Log } from '../log.ts'
import type { LiveRequests } from '../pipeline/live-requests.ts'
import type { Probes } from '../probes/probes.ts'
import { StatusError } from '../status.ts'
import type { Upstream } from '../upstream/forward.ts'
import { FRAME_END_MS } from '../upstream/frame-ends.ts'

export interface Shutdown {
  /** For `/readyz`: why Gatehouse is not ready, once the shutdown has begun. */
  readonly ending: () => string | undefined
  /** Ends everything; every call returns the same promise. `now` skips the waits of earlier calls too. */
  run(now?: boolean): Promise<void>
}

export interface ShutdownOptions {
  readonly listener: Listener
  readonly probes: Probes
  readonly live: LiveRequests
  readonly upstream: Upstream
  readonly auditor: Auditor
  /** Exchanges whose record is still open. */
  readonly openExchanges: () => number
  /** File watchers, timers, JWKS refreshes. Resolves when Redis knows what this replica has admitted. */
  readonly stopBackground: () => Promise<void>
  readonly log: Log
  /** Milliseconds. */
  readonly delay: number
  readonly gracePeriod: number
}

const POLL_MS = 20
/** How long streams may take to end before their sockets are destroyed: the rest of a frame, and its way. */
const CUT_MS = 2 * FRAME_END_MS + 500
/** How long Redis may take: `state.redis.timeout` may be longer than a process has for its end. */
const STATE_MS = 1_000

/** Creates the shutdown, which begins with the first call of `run`. */
export function createShutdown(parts: ShutdownOptions): Shutdown {
  let ending: Promise<void> | undefined
  const hurry = new AbortController()

  async function end(): Promise<void> {
    const { log, listener, live } = parts
    log.info({ delayMs: parts.delay, gracePeriodMs: parts.gracePeriod }, 'shutting down')
    await untilDelayed(parts.delay, hurry.signal)
    listener.drain()
    const finished = await untilIdle(parts, parts.gracePeriod, hurry.signal)
    if (!finished) {
      log.info({ streams: live.size }, 'ending the remaining streams')
      live.cutAll(new StatusError('ServiceUnavailable', 'Gatehouse is shutting down'))
      await untilIdle(parts, CUT_MS)
    }
    await listener.destroy()
    await untilIdle(parts, CUT_MS)
    const stopped = parts.stopBackground()
    await parts.upstream.destroy()
    await parts.auditor.close()
    await Promise.race([stopped, sleep(STATE_MS)])
    await parts.probes.close()
    log.info('stopped')
  }

  return {
    ending: () => (ending === undefined ? undefined : 'shutting down'),
    run(now = false) {
      if (now) hurry.abort()
      ending ??= end()
      return ending
    },
  }
}

async function untilDelayed(milliseconds: number, hurry: AbortSignal): Promise<void> {
  // An aborted sleep rejects; either way the wait is over.
  await sleep(milliseconds, undefined, { signal: hurry }).catch(() => undefined)
}

/** True: nothing is running; false: the time is over, or the waits are skipped. */
async function untilIdle(
  parts: ShutdownOptions,
  milliseconds: number,
  hurry?: AbortSignal,
): Promise<boolean> {
  const deadline = performance.now() + milliseconds
  while (parts.openExchanges() > 0) {
    if (performance.now() >= deadline || hurry?.aborted === true) return false
    await sleep(POLL_MS)
  }
  return true
}
