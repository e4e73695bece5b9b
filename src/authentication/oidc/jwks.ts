import { errorOrigin, UNKNOWN_CA_CODES } from '../../cluster/error-origin.ts'
import type { Log } from '../../log.ts'
import { discoverJwksUri } from './discovery.ts'
import type { JsonFetcher } from './json-fetch.ts'
import { parseKeySet, type KeySet, type SkippedKey } from './key-set.ts'

/** The keys of one issuer, cached and refreshed. */
export interface KeySource {
  /**
   * The keys that were loaded last; empty before the first load. They stay in use while the issuer
   * is unreachable.
   */
  current(): KeySet
  /**
   * Fetches the keys again, for a token that no known key has verified, and returns them. Joins a
   * fetch that is in progress; starts one only if the last one that it started is at least 10 s ago,
   * so that invalid tokens cannot flood the issuer. Never rejects, and resolves within the fetch
   * timeout.
   */
  refetch(): Promise<KeySet>
  /** Why keys have never been loaded; undefined once they have been. */
  problem(): string | undefined
  /** Whether the first attempt to load keys has finished, successfully or not. */
  wasTried(): boolean
  close(): void
}

/** Clock, timers and randomness, replaceable in tests. */
export interface Timing {
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  /**
   * Calls back once after `delay` milliseconds, without keeping the process alive; returns a
   * function that cancels.
   */
  readonly schedule: (callback: () => void, delay: number) => () => void
  /** From 0 to 1. */
  readonly random: () => number
  /** Timeout of fetching discovery document and key set together, in milliseconds. */
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
  /** The issuer's URL exactly as configured. */
  readonly issuer: string
  /** URL of the discovery document; undefined: the well-known path below the issuer's URL. */
  readonly discoveryUrl: string | undefined
}

export interface KeySourceEffects {
  /** Is closed with the key source. */
  readonly fetcher: JsonFetcher
  readonly timing: Timing
  readonly log: Log
  /** The issuer has withdrawn a key: whatever it verified must not be trusted any longer. */
  readonly onKeyDropped: () => void
}

const REFETCH_COOLDOWN_MS = 10_000
const REFRESH_INTERVAL_MS = 3_600_000
const FIRST_RETRY_MS = 1_000
const MAX_RETRY_MS = 60_000
/** Skipped keys in one log line. */
const MAX_LOGGED = 10

/**
 * Creates a key source, which loads an issuer's keys immediately, retries failures with growing
 * delays, and refreshes the keys about every hour. At most one fetch is in progress.
 */
export function createKeySource(
  { issuer, discoveryUrl }: KeySourceOptions,
  { fetcher, timing, log, onKeyDropped }: KeySourceEffects,
): KeySource {
  const closing = new AbortController()
  let keys: KeySet = []
  let everLoaded = false
  let failures = 0
  let failure = 'its keys are not loaded yet'
  let lastSkipped = '[]'
  let inProgress: Promise<void> | undefined
  let refetchedAt = -Infinity
  let cancelTimer = (): void => undefined

  async function load(): Promise<KeySet> {
    const signal = AbortSignal.any([AbortSignal.timeout(timing.fetchTimeout), closing.signal])
    const fetchJson = (url: URL, within: AbortSignal) => fetcher.fetchJson(url, within)
    const uri = await discoverJwksUri({ issuer, discoveryUrl, fetchJson, signal })
    const skipped: SkippedKey[] = []
    const loaded = parseKeySet(await fetchJson(uri, signal), (key) => skipped.push(key))
    logSkipped(skipped)
    if (loaded.length === 0 && !everLoaded) throw new Error(`${uri.href} contains no usable key`)
    return loaded
  }

  /** Logs them once, not with every fetch of the same set. */
  function logSkipped(skipped: readonly SkippedKey[]): void {
    const text = JSON.stringify(skipped)
    if (text === lastSkipped) return
    lastSkipped = text
    if (skipped.length === 0) return
    const shown = skipped.slice(0, MAX_LOGGED)
    log.warn({ issuer, skipped: shown, count: skipped.length }, 'issuer publishes unusable keys')
  }

  function replace(loaded: KeySet): void {
    const remaining = new Set(loaded.map(({ fingerprint }) => fingerprint))
    const dropped = keys.filter(({ fingerprint }) => !remaining.has(fingerprint)).length
    const changed = dropped > 0 || loaded.length !== keys.length
    keys = loaded
    everLoaded = true
    if (changed) log.info({ issuer, keys: keys.length, dropped }, 'issuer keys loaded')
    if (keys.length === 0) log.warn({ issuer }, 'issuer no longer publishes a usable key')
    if (dropped > 0) onKeyDropped()
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
      log.warn({ issuer, reason: failure, keys: keys.length }, 'issuer keys could not be loaded')
    } finally {
      inProgress = undefined
    }
    if (closing.signal.aborted) return
    cancelTimer = timing.schedule(() => void fetchKeys(), nextDelay(failures, timing.random))
  }

  function fetchKeys(): Promise<void> {
    return (inProgress ??= attempt())
  }

  void fetchKeys()
  return {
    current: () => keys,
    async refetch() {
      if (inProgress === undefined) {
        const sinceLast = timing.clock() - refetchedAt
        // Negative after the clock was set back; then the time of the last fetch is unknown.
        if (sinceLast >= 0 && sinceLast < REFETCH_COOLDOWN_MS) return keys
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

/** Spreads delays by 10 %, so that replicas do not fetch at the same time. */
function nextDelay(failures: number, random: () => number): number {
  const base =
    failures === 0
      ? REFRESH_INTERVAL_MS
      : Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10), MAX_RETRY_MS)
  return base * (0.9 + 0.2 * random())
}

function describeFailure(error: unknown, fetchTimeout: number): string {
  if (!(error instanceof Error)) return String(error)
  if (error.name === 'TimeoutError') return `no response within ${fetchTimeout / 1000} s`
  const { code } = errorOrigin(error)
  // Node's message suggests an option of Node that does not help here.
  if (UNKNOWN_CA_CODES.has(code)) {
    return `the issuer's certificate is not signed by a trusted CA: set certificateAuthority for this issuer (${code})`
  }
  // undici's connection errors have an empty message when several addresses were tried.
  return error.message === '' ? code || error.name : error.message
}
