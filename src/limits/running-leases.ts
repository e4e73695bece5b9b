/**
 * What runs in this replica, as leases in Redis: the number of each user's requests and streams, which
 * ends when it is not renewed, so that the places of a replica that died come back. A lease is written
 * with the tokens that requests take (shared-buckets.ts); here it is renewed, and lowered.
 */
import { countOf } from '../state/script-reply.ts'
import { HEARTBEAT_MS, LEASE_MS, type SharedStore } from '../state/shared-store.ts'
import { RENEW } from './limit-scripts.ts'
import type { Running } from './local-limiter.ts'
import { createReportedCounts, type Report } from './reported-counts.ts'

export interface RunningLeases {
  /** The key of a user's lease in Redis. */
  keyOf(what: Running, username: string): string
  /** A script is sent that may write that `count` run. */
  begin(what: Running, username: string, count: number): Report
  /** How many run of which Redis, and so the other replicas, may not know. */
  unreported(what: Running, username: string): number
  /**
   * Fewer run than before.
   *
   * @param isScarce whether others may be waiting for the place: reports it at once, otherwise later
   */
  ended(what: Running, username: string, isScarce: boolean): void
  /** Reports everything that has ended. Never rejects. */
  close(): Promise<void>
}

export interface RunningLeasesOptions {
  /** Most users whose leases are remembered as too high; others end by themselves. */
  readonly maxKeys: number
}

export interface RunningLeasesEffects {
  readonly store: Pick<SharedStore, 'problem' | 'replica' | 'names' | 'key' | 'run' | 'onUsable'>
  /** How many run in this replica. */
  readonly running: (what: Running, username: string) => number
  /** Of whom something runs in this replica. */
  readonly users: (what: Running) => Iterable<string>
}

/** How long a number in Redis may be too high. */
const REPORT_DELAY_MS = 100

/** Creates the leases, and begins to renew them. */
export function createRunningLeases(
  { maxKeys }: RunningLeasesOptions,
  { store, running, users }: RunningLeasesEffects,
): RunningLeases {
  /** Users of whom fewer run than Redis has. */
  let changed = { requests: new Set<string>(), streams: new Set<string>() }
  const counts = {
    requests: createReportedCounts(maxKeys),
    streams: createReportedCounts(maxKeys),
  }
  let timer: NodeJS.Timeout | undefined
  let isQueued = false

  function keyOf(what: Running, username: string): string {
    return store.key(store.names.of('user', username), what)
  }

  function mark(what: Running, username: string): void {
    if (changed[what].size < maxKeys) changed[what].add(username)
  }

  function begin(what: Running, username: string, count: number): Report {
    const report = counts[what].begin(username, count)
    return {
      ...report,
      done(isWritten) {
        report.done(isWritten)
        if (isWritten && running(what, username) === count) changed[what].delete(username)
      },
    }
  }

  async function renew(what: Running, username: string): Promise<void> {
    const count = running(what, username)
    const values = [store.replica, count, LEASE_MS]
    const report = begin(what, username, count)
    try {
      await store.run(RENEW, [keyOf(what, username)], values, countOf)
      report.done(true)
    } catch {
      report.failed()
      // The store reports it. The lease is reported again when it is usable.
      mark(what, username)
    }
  }

  /** Reports what has ended; and everything else, too, if it is given. */
  async function report(all?: (what: Running) => Iterable<string>): Promise<void> {
    if (store.problem !== undefined) return
    const reported = changed
    changed = { requests: new Set(), streams: new Set() }
    if (all !== undefined) {
      for (const username of all('requests')) reported.requests.add(username)
      for (const username of all('streams')) reported.streams.add(username)
    }
    await Promise.all([
      ...Array.from(reported.requests, (username) => renew('requests', username)),
      ...Array.from(reported.streams, (username) => renew('streams', username)),
    ])
  }

  function reportChanged(): Promise<void> {
    isQueued = false
    clearTimeout(timer)
    timer = undefined
    return report()
  }

  const heartbeat = setInterval(() => void report(users), HEARTBEAT_MS).unref()
  // Redis may have lost all of them.
  store.onUsable(() => {
    counts.requests.clear()
    counts.streams.clear()
    void report(users)
  })

  return {
    keyOf,
    begin,
    unreported: (what, username) => running(what, username) - counts[what].least(username),
    ended(what, username, isScarce) {
      mark(what, username)
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
