/**
 * What runs of a user in the other replicas, by the last reply of Redis, and whether a request may run
 * before Redis knows of it.
 */
import { createLru } from '../lru.ts'
import type { SharedStore } from '../state/shared-store.ts'
import { sharersOf } from './own-part.ts'
import type { Report } from './reported-counts.ts'

/** What runs with the tokens of a bucket, by key; the caller counts a request before its token is confirmed. */
export interface RunningOfKeys {
  /** Most that may run of a key, in all replicas. */
  readonly max: number
  /** Whether Redis is always asked first, so that never more than `max` run. */
  readonly isExact: boolean
  /** The lease in Redis. */
  keyOf(key: string): string
  /** How many run in this replica. */
  count(key: string): number
  /** Call it when a script is sent that may write `count` as the number that runs. */
  begin(key: string, count: number): Report
  /** Redis knows of at least this many in this replica. For a short time, that can be more than run. */
  reported(key: string): number
}

export interface RunningElsewhere {
  /** A request to Redis of the time `at` has found that `others` run in the other replicas. */
  heard(key: string, others: number, at: number): void
  /** Redis cannot be asked. */
  forget(key: string): void
  /** Whether what runs in this replica may run before Redis knows of it. `now`: as `at`. */
  mayRun(key: string, now: number): boolean
}

export interface RunningElsewhereOptions {
  /** Most keys that are tracked. */
  readonly maxKeys: number
}

export interface RunningElsewhereEffects {
  readonly store: Pick<SharedStore, 'replicas' | 'onUsable'>
  readonly running: RunningOfKeys
}

/** How long a reply counts, in milliseconds. */
const KNOWN_MS = 1_000
/** Redis is asked first when more than this part of `max` runs. */
const MUCH_PART = 1 / 2
/** All other replicas together run at most this part of `max` without Redis knowing of it. */
const UNREPORTED_PART = 1 / 20

interface Known {
  readonly at: number
  readonly others: number
}

/** Creates it; nothing is known of other replicas yet. */
export function createRunningElsewhere(
  { maxKeys }: RunningElsewhereOptions,
  { store, running }: RunningElsewhereEffects,
): RunningElsewhere {
  const { max, isExact } = running
  const known = createLru<Known>(maxKeys)

  // Redis may have lost everything.
  store.onUsable(() => known.clear())

  return {
    heard: (key, others, at) => void known.set(key, { at, others }),
    forget: (key) => void known.delete(key),
    mayRun(key, now) {
      if (isExact) return false
      const last = known.get(key)
      if (last === undefined || now - last.at > KNOWN_MS) return false
      const own = running.count(key)
      const unreported = own - running.reported(key)
      return (
        own + last.others <= max * MUCH_PART &&
        unreported * (sharersOf(store) - 1) <= max * UNREPORTED_PART
      )
    },
  }
}
