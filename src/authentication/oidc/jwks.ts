import { errorOrigin, UNKNOWN_CA_CODES } from '../../cluster/error-origin.ts'
import { createLogThrottle } from '../../log-throttle.ts'
import type { Log } from '../../log.ts'
import { discoverJwksUri } from './discovery.ts'
import { ProxyTimeoutError, type JsonFetcher } from './json-fetch.ts'
import { parseKeySet, type KeySet, type SkippedKey } from './key-set.ts'

/** The keys of one issuer, cached and refreshed. */
export interface KeySource {
  /**
   * The keys that were loaded last; empty before the first load. While the issuer is unreachable, they
   * stay in use for their lifetime.
   */
  current(): KeySet
  /** A key of `current` has verified a token: reports it while the issuer is unreachable. */
  used(): void
  /**
   * Fetches the keys again, for a token that no known key has verified, and returns them. Joins a
   * fetch that is in progress; starts one only if the last one that it started is at least 10 s ago,
   * so that invalid tokens cannot flood the issuer. Never rejects, and resolves within the fetch
   * timeout.
   */
  refetch(): Promise<KeySet>
  /** Why there are no keys, or none that may still be used; undefined when there are. */
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
  /** How long keys stay in use after they were fetched, in milliseconds. */
  readonly keyLifetime: number
}

export interface KeySourceEffects {
  /** Is closed with the key source. */
  readonly fetcher: JsonFetcher
  readonly timing: Timing
  readonly log: Log
  /** The issuer has withdrawn a key: whatever it verified must not be trusted any longer. */
  readonly onKeyDropped: () => void
  /** Keys were fetched. */
  readonly onFetched: () => void
  /** A token was verified with keys that were fetched before the issuer became unreachable. */
  readonly onCachedKeyUsed: () => void
}

const REFETCH_COOLDOWN_MS = 10_000
const REFRESH_INTERVAL_MS = 3_600_000
const FIRST_RETRY_MS = 1_000
const MAX_RETRY_MS = 60_000
/** Between two lines that say that cached keys are used. */
const CACHED_KEYS_LOGGED_EVERY_MS = 60_000
/** Skipped keys in one log line. */
const MAX_LOGGED = 10

/**
 * Creates a key source, which loads an issuer's keys immediately, retries failures with growing
 * delays, and refreshes the keys about every hour. At most one fetch is in progress.
 */
export function createKeySource(
  { issuer, discoveryUrl, keyLifetime }: KeySourceOptions,
  { fetcher, timing, log, onKeyDropped, onFetched, onCachedKeyUsed }: KeySourceEffects,
): KeySource {
  const closing = new AbortController()
  let keys: KeySet = []
  /** Whether keys were ever fetched, and are not older than their lifetime. */
  let hasKeys = false
  let fetchedAt = 0
  let failures = 0
  let failure = 'its keys are not loaded yet'
  let lastSkipped = '[]'
  let inProgress: Promise<void> | undefined
  let refetchedAt = -Infinity
  let cancelTimer = (): void => undefined
  const throttle = createLogThrottle(
    { interval: CACHED_KEYS_LOGGED_EVERY_MS, lines: 1 },
    { now: timing.clock },
  )

  async function load(): Promise<KeySet> {
    const signal = AbortSignal.any([AbortSignal.timeout(timing.fetchTimeout), closing.signal])
    const fetchJson = (url: URL, within: AbortSignal) => fetcher.fetchJson(url, within)
    const uri = await discoverJwksUri({ issuer, discoveryUrl, fetchJson, signal })
    const skipped: SkippedKey[] = []
    const loaded = parseKeySet(await fetchJson(uri, signal), (key) => skipped.push(key))
    logSkipped(skipped)
    if (loaded.length === 0 && !hasKeys) throw new Error(`${uri.href} contains no usable key`)
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
    hasKeys = true
    fetchedAt = timing.clock()
    onFetched()
    if (changed) log.info({ issuer, keys: keys.length, dropped }, 'issuer keys loaded')
    if (keys.length === 0) log.warn({ issuer }, 'issuer no longer publishes a usable key')
    if (dropped > 0) onKeyDropped()
  }

  /** The issuer may have withdrawn a key since they were fetched. */
  function expire(): void {
    if (!hasKeys || timing.clock() - fetchedAt < keyLifetime) return
    keys = []
    hasKeys = false
    log.error(
      { issuer, lastFetched: formatTime(fetchedAt), reason: failure },
      'cached issuer keys have expired',
    )
    onKeyDropped()
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
      expire()
    } finally {
      inProgress = undefined
    }
    if (closing.signal.aborted) return
    const delay = nextDelay(failures, keyLifetime, timing.random)
    const untilExpiry = hasKeys ? Math.max(fetchedAt + keyLifetime - timing.clock(), 0) : delay
    cancelTimer = timing.schedule(() => void fetchKeys(), Math.min(delay, untilExpiry))
  }

  function fetchKeys(): Promise<void> {
    return (inProgress ??= attempt())
  }

  void fetchKeys()
  return {
    current: () => keys,
    used() {
      if (failures === 0) return
      onCachedKeyUsed()
      const suppressed = throttle('used')
      if (suppressed === undefined) return
      log.warn(
        { issuer, lastFetched: formatTime(fetchedAt), reason: failure, suppressed },
        'tokens are verified with cached keys: the issuer is unreachable',
      )
    },
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
    problem: () => (hasKeys ? undefined : failure),
    wasTried: () => hasKeys || failures > 0,
    close() {
      closing.abort(new Error('closed'))
      cancelTimer()
      fetcher.close()
    },
  }
}

/** The keys of a file. */
export function createStaticKeySource(keys: KeySet): KeySource {
  return {
    current: () => keys,
    used: () => undefined,
    refetch: () => Promise.resolve(keys),
    problem: () => undefined,
    wasTried: () => true,
    close: () => undefined,
  }
}

/**
 * Spreads delays by 10 %, so that replicas do not fetch at the same time. Keys are refreshed before half
 * of their lifetime is over, which leaves the other half for an outage.
 */
function nextDelay(failures: number, keyLifetime: number, random: () => number): number {
  const base =
    failures === 0
      ? Math.min(REFRESH_INTERVAL_MS, keyLifetime / 2)
      : Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10), MAX_RETRY_MS)
  return base * (0.9 + 0.2 * random())
}

function describeFailure(error: unknown, fetchTimeout: number): string {
  if (!(error instanceof Error)) return String(error)
  if (error instanceof ProxyTimeoutError) {
    return `no response within ${fetchTimeout / 1000} s through ${error.proxy}: it hangs, or the issuer does`
  }
  if (error.name === 'TimeoutError') return `no response within ${fetchTimeout / 1000} s`
  const { code } = errorOrigin(error)
  // Node's message suggests an option of Node that does not help here.
  if (UNKNOWN_CA_CODES.has(code)) {
    return `the issuer's certificate is not signed by a trusted CA: set certificateAuthority for this issuer (${code})`
  }
  // Connection errors have an empty message when several addresses were tried.
  return error.message === '' ? code || error.name : error.message
}

function formatTime(time: number): string {
  return new Date(time).toISOString()
}
