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
  /** Call it when a script is sent that may write `count` as the number that runs. */
  begin(what: Running, username: string, count: number): Report
  /**
   * Redis knows of at least this many of the user's requests or streams in this replica, as of its last reply that
   * said what runs in the other replicas.
   */
  reported(what: Running, username: string): number
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

/** A number in Redis may be too high for up to twice this time. */
const REPORT_DELAY_MS = 100

/** Creates the leases, and begins to renew them. */
export function createRunningLeases(
  { maxKeys }: RunningLeasesOptions,
  { store, running, users }: RunningLeasesEffects,
): RunningLeases {
  /** Users with fewer running than Redis may have, and the most that ran since the last report. */
  let peaks = { requests: new Map<string, number>(), streams: new Map<string, number>() }
  const counts = {
    requests: createReportedCounts(maxKeys),
    streams: createReportedCounts(maxKeys),
  }
  let timer: NodeJS.Timeout | undefined
  let isQueued = false

  function keyOf(what: Running, username: string): string {
    return store.key(store.names.of('user', username), what)
  }

  function mark(what: Running, username: string, ran: number): void {
    const marked = peaks[what]
    const peak = marked.get(username)
    if (peak === undefined ? marked.size < maxKeys : peak < ran) marked.set(username, ran)
  }

  /** @param known the number that counts as known to Redis once the script has run */
  function begin(what: Running, username: string, count: number, known = count): Report {
    const report = counts[what].begin(username, known)
    return {
      done(isWritten) {
        report.done(isWritten)
        if (!isWritten) return
        const now = running(what, username)
        if (now === count) peaks[what].delete(username)
        else if (now < count) {
          // The reply to an earlier script may have deleted the mark.
          mark(what, username, now)
          schedule()
        }
      },
      failed() {
        report.failed()
        // The store reports it. The lease is reported again when it is usable.
        mark(what, username, running(what, username))
      },
    }
  }

  async function renew(what: Running, username: string, count: number): Promise<void> {
    const values = [store.replica, count, LEASE_MS]
    // Not above what counted as known before: the reply of this script does not say what runs elsewhere, so it must
    // not let more requests run here without asking.
    const known = Math.min(count, counts[what].least(username))
    const report = begin(what, username, count, known)
    try {
      await store.run(RENEW, [keyOf(what, username)], values, countOf)
      report.done(true)
    } catch {
      report.failed()
    }
  }

  function markedUntilNow(): typeof peaks {
    const marked = peaks
    peaks = { requests: new Map(), streams: new Map() }
    return marked
  }

  /** Reports the current numbers of users of whom something has ended, and of the users in `all`. */
  async function report(all?: (what: Running) => Iterable<string>): Promise<void> {
    if (store.problem !== undefined) return
    const marked = markedUntilNow()
    const renewed = (what: Running): Promise<void>[] => {
      const usernames = new Set([...marked[what].keys(), ...(all?.(what) ?? [])])
      return Array.from(usernames, (username) => renew(what, username, running(what, username)))
    }
    await Promise.all([...renewed('requests'), ...renewed('streams')])
  }

  /**
   * Reports what has ended, but never a number below the most that ran since the last report. Under load, the
   * number goes up again at once, and Redis would have to be asked each time.
   */
  function reportLater(): void {
    timer = undefined
    if (store.problem !== undefined) return
    const marked = markedUntilNow()
    for (const what of ['requests', 'streams'] as const) {
      for (const [username, peak] of marked[what]) {
        const now = running(what, username)
        const reported = counts[what].least(username)
        const count = Math.max(now, Math.min(peak, reported))
        if (count > now) {
          mark(what, username, now)
          schedule()
        }
        // A reported zero may also mean that it is not known what Redis has.
        if (count !== reported || count === 0) void renew(what, username, count)
      }
    }
  }

  function schedule(): void {
    timer ??= setTimeout(reportLater, REPORT_DELAY_MS).unref()
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
    begin: (what, username, count) => begin(what, username, count),
    reported: (what, username) => counts[what].least(username),
    ended(what, username, isScarce) {
      mark(what, username, running(what, username) + 1)
      if (!isScarce) {
        schedule()
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
