/**
 * What runs in this replica, as leases in Redis: the number of each user's requests and streams, which
 * ends when it is not renewed, so that the places of a replica that died come back.
 */
import { HEARTBEAT_MS, LEASE_MS, type SharedStore } from '../state/shared-store.ts'
import { countOf, RENEW } from './limit-scripts.ts'
import type { Running } from './local-limiter.ts'

export interface RunningLeases {
  /** The key of the lease in Redis, which a decision has written or will write. */
  keyOf(what: Running, username: string): string
  /**
   * Fewer run than before.
   *
   * @param isScarce whether others may be waiting for the place: reports it at once, otherwise later
   */
  ended(what: Running, username: string, isScarce: boolean): void
  /** Reports everything that has ended. Never rejects. */
  close(): Promise<void>
}

export interface RunningLeasesEffects {
  readonly store: Pick<SharedStore, 'problem' | 'replica' | 'names' | 'key' | 'run' | 'onUsable'>
  /** How many run in this replica. */
  readonly running: (what: Running, username: string) => number
}

/** How long a number in Redis may be too high. */
const REPORT_DELAY_MS = 100

export function createRunningLeases({ store, running }: RunningLeasesEffects): RunningLeases {
  /** Users with a lease in Redis. */
  const leased = { requests: new Set<string>(), streams: new Set<string>() }
  let changed = { requests: new Set<string>(), streams: new Set<string>() }
  let timer: NodeJS.Timeout | undefined
  let isQueued = false

  async function renew(what: Running, username: string): Promise<void> {
    const count = running(what, username)
    if (count === 0) leased[what].delete(username)
    const values = [store.replica, count, LEASE_MS]
    const key = store.key(store.names.of('user', username), what)
    // The store reports failures; the lease is renewed when it is usable again.
    await store.run(RENEW, [key], values, countOf).catch(() => undefined)
  }

  async function report({ requests, streams }: typeof leased): Promise<void> {
    if (store.problem !== undefined) return
    await Promise.all([
      ...Array.from(requests, (username) => renew('requests', username)),
      ...Array.from(streams, (username) => renew('streams', username)),
    ])
  }

  function reportChanged(): Promise<void> {
    isQueued = false
    clearTimeout(timer)
    timer = undefined
    const reported = changed
    changed = { requests: new Set(), streams: new Set() }
    return report(reported)
  }

  const heartbeat = setInterval(() => void report(leased), HEARTBEAT_MS).unref()
  // Redis may have lost all of them.
  store.onUsable(() => void report(leased))

  return {
    keyOf(what, username) {
      leased[what].add(username)
      return store.key(store.names.of('user', username), what)
    },
    ended(what, username, isScarce) {
      changed[what].add(username)
      if (!isScarce) {
        timer ??= setTimeout(() => void reportChanged(), REPORT_DELAY_MS).unref()
        return
      }
      if (isQueued) return
      isQueued = true
      queueMicrotask(() => void reportChanged())
    },
    close() {
      clearInterval(heartbeat)
      return reportChanged()
    },
  }
}
