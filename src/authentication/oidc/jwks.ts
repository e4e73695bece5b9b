import type { Log } from '../../log.ts'
import { discoverJwksUri } from './discovery.ts'
import type { JsonFetcher } from './json-fetch.ts'
import { parseKeySet, type KeySet, type SkippedKey } from './key-set.ts'

/** The keys of one issuer, kept and renewed. */
export interface KeySource {
  /** The keys known now; empty before the first load. Known keys go on when the issuer is down. */
  current(): KeySet
  /**
   * For a token that no known key fits: the keys after one more look at the issuer. Joins the fetch
   * under way; begins one only if the last one for such a token is 10 s past, so that tokens with
   * ever new key ids cost the issuer nothing. Never rejects, and resolves when the fetch's time is
   * up at the latest.
   */
  refetch(): Promise<KeySet>
  /** Why no keys were ever loaded; undefined once they were. */
  problem(): string | undefined
  /** Whether a first attempt to load them is over, however it ended. */
  wasTried(): boolean
  close(): void
}

/** Time, so that tests need not wait for it. */
export interface Timing {
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  /** Calls back once after `delay` milliseconds, without keeping the process alive; cancels. */
  readonly schedule: (callback: () => void, delay: number) => () => void
  /** From 0 to 1. */
  readonly random: () => number
  /** For discovery document and key set together, in milliseconds. */
  readonly fetchTimeout: number
}

export const SYSTEM_TIMING: Timing = {
  clock: Date.now,
  schedule(callback, delay) {
    const timer = setTimeout(callback, delay).unref()
    return () => {
      clearTimeout(timer)
    }
  },
  random: Math.random,
  fetchTimeout: 10_000,
}

export interface KeySourceOptions {
  readonly issuer: string
  readonly discoveryUrl: string | undefined
  readonly fetcher: JsonFetcher
  readonly timing: Timing
  readonly log: Log
  /** A key that was known is no longer the issuer's: what it verified must not be trusted on. */
  readonly onKeyDropped: () => void
}

const REFETCH_COOLDOWN = 10_000
const REFRESH_INTERVAL = 3_600_000
const FIRST_RETRY = 1_000
const LAST_RETRY = 60_000
/** Keys named in one line of log. */
const MAX_TOLD = 10

/**
 * Loads an issuer's keys at once, retries with growing pauses until that succeeds, and renews them
 * about every hour. At most one fetch is under way.
 */
export function createKeySource(options: KeySourceOptions): KeySource {
  const { issuer, fetcher, timing, log } = options
  const closing = new AbortController()
  let keys: KeySet = []
  let everLoaded = false
  let failures = 0
  let failure = 'its keys are not loaded yet'
  let skippedBefore = '[]'
  let underWay: Promise<void> | undefined
  let refetchedAt = -Infinity
  let cancelTimer = (): void => undefined

  async function load(): Promise<KeySet> {
    const signal = AbortSignal.any([AbortSignal.timeout(timing.fetchTimeout), closing.signal])
    const fetchJson = (url: URL, within: AbortSignal) => fetcher.fetchJson(url, within)
    const uri = await discoverJwksUri({ ...options, fetchJson, signal })
    const skipped: SkippedKey[] = []
    const loaded = parseKeySet(await fetchJson(uri, signal), (key) => skipped.push(key))
    tellSkipped(skipped)
    if (loaded.length === 0 && !everLoaded) throw new Error(`${uri.href} has no usable key`)
    return loaded
  }

  /** Once, not with every fetch of the same set. */
  function tellSkipped(skipped: readonly SkippedKey[]): void {
    const text = JSON.stringify(skipped)
    if (text === skippedBefore) return
    skippedBefore = text
    if (skipped.length === 0) return
    const shown = skipped.slice(0, MAX_TOLD)
    log.warn({ issuer, keys: shown, count: skipped.length }, 'keys of an issuer are not used')
  }

  function replace(loaded: KeySet): void {
    const remaining = new Set(loaded.map(({ fingerprint }) => fingerprint))
    const dropped = keys.filter(({ fingerprint }) => !remaining.has(fingerprint)).length
    const changed = dropped > 0 || loaded.length !== keys.length
    keys = loaded
    everLoaded = true
    if (changed) log.info({ issuer, keys: keys.length, dropped }, 'keys of an issuer loaded')
    if (keys.length === 0) log.warn({ issuer }, 'an issuer publishes no usable key any more')
    if (dropped > 0) options.onKeyDropped()
  }

  async function attempt(): Promise<void> {
    cancelTimer()
    try {
      replace(await load())
      failures = 0
    } catch (error) {
      if (closing.signal.aborted) return
      failures++
      failure = describeFailure(error, timing.fetchTimeout)
      log.warn({ issuer, failure, keys: keys.length }, 'keys of an issuer could not be loaded')
    } finally {
      underWay = undefined
    }
    if (closing.signal.aborted) return
    cancelTimer = timing.schedule(() => void fetchKeys(), nextDelay(failures, timing.random))
  }

  function fetchKeys(): Promise<void> {
    return (underWay ??= attempt())
  }

  void fetchKeys()
  return {
    current: () => keys,
    async refetch() {
      if (underWay === undefined) {
        const sinceLast = timing.clock() - refetchedAt
        // Negative after the clock was set back; then it says nothing.
        if (sinceLast >= 0 && sinceLast < REFETCH_COOLDOWN) return keys
        refetchedAt = timing.clock()
      }
      if (!closing.signal.aborted) await fetchKeys()
      return keys
    },
    problem: () => (everLoaded ? undefined : failure),
    wasTried: () => everLoaded || failures > 0,
    close() {
      closing.abort(new Error('closed'))
      cancelTimer()
      fetcher.close()
    },
  }
}

/** The hour is spread by a tenth, so that replicas do not all come at once. */
function nextDelay(failures: number, random: () => number): number {
  const base =
    failures === 0
      ? REFRESH_INTERVAL
      : Math.min(FIRST_RETRY * 2 ** Math.min(failures - 1, 10), LAST_RETRY)
  return base * (0.9 + 0.2 * random())
}

function describeFailure(error: unknown, fetchTimeout: number): string {
  if (!(error instanceof Error)) return String(error)
  if (error.name === 'TimeoutError') return `no answer within ${fetchTimeout / 1000} s`
  // undici's connection errors have an empty message when several addresses were tried.
  const code = (error as NodeJS.ErrnoException).code
  return error.message === '' ? (code ?? error.name) : error.message
}
