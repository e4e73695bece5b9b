/** Token buckets by key, in limited memory (golang.org/x/time/rate with `AllowN(now, 1)`). */
import { createLru } from '../lru.ts'
import type { RateLimitState } from './limiter.ts'

export interface BucketSize {
  readonly requestsPerSecond: number
  readonly burst: number
}

/** `now` is always in milliseconds of a monotonic clock. */
export interface TokenBuckets {
  /** Takes a token if there is one. */
  take(key: string, now: number): Taken
  /** Takes `tokens` tokens, even if the bucket holds fewer; false if that leaves a debt. */
  charge(key: string, tokens: number, now: number): boolean
  /** Gives back a token that was taken for nothing. */
  refund(key: string, now: number): void
  /** Leaves at most `tokens` in the bucket; fewer than none is a debt. */
  lower(key: string, tokens: number, now: number): void
  /** Takes `tokens` tokens, or the whole ones that there are, for what was admitted elsewhere. */
  drain(key: string, tokens: number, now: number): void
  /** Changes the size of all buckets. */
  resize(size: BucketSize): void
}

export interface Taken {
  readonly allowed: boolean
  readonly state: RateLimitState
  /** Time until the next token, in milliseconds; 0 when allowed. */
  readonly waitMs: number
}

interface Bucket {
  tokens: number
  /** When `tokens` was computed. */
  at: number
}

/**
 * Creates buckets for at most `maxKeys` keys. The least recently used key is evicted and begins
 * with a full bucket when it returns: a client with that many addresses is limited by the
 * connection limits.
 */
export function createTokenBuckets(size: BucketSize, maxKeys: number): TokenBuckets {
  let { requestsPerSecond, burst } = size
  const buckets = createLru<Bucket>(maxKeys)

  const refilled = (key: string, now: number): Bucket => {
    let bucket = buckets.get(key)
    if (bucket === undefined) {
      bucket = { tokens: burst, at: now }
      buckets.set(key, bucket)
    }
    const tokens = bucket.tokens + ((now - bucket.at) / 1_000) * requestsPerSecond
    bucket.tokens = Math.min(burst, tokens)
    bucket.at = now
    return bucket
  }

  return {
    charge(key, tokens, now) {
      const bucket = refilled(key, now)
      // The debt is limited to one full bucket, so that a key is not refused for longer than it
      // took to use one up.
      bucket.tokens = Math.max(-burst, bucket.tokens - tokens)
      return bucket.tokens >= 0
    },
    refund(key, now) {
      const bucket = refilled(key, now)
      bucket.tokens = Math.min(burst, bucket.tokens + 1)
    },
    lower(key, tokens, now) {
      const bucket = refilled(key, now)
      bucket.tokens = Math.min(bucket.tokens, Math.max(-burst, tokens))
    },
    drain(key, tokens, now) {
      const bucket = refilled(key, now)
      bucket.tokens -= Math.min(tokens, Math.floor(bucket.tokens))
    },
    resize(next) {
      ;({ requestsPerSecond, burst } = next)
    },
    take(key, now) {
      const bucket = refilled(key, now)
      const allowed = bucket.tokens >= 1
      if (allowed) bucket.tokens -= 1
      return {
        allowed,
        state: {
          limit: burst,
          remaining: Math.max(0, Math.floor(bucket.tokens)),
          resetSeconds: Math.ceil((burst - bucket.tokens) / requestsPerSecond),
        },
        waitMs: allowed ? 0 : ((1 - bucket.tokens) / requestsPerSecond) * 1_000,
      }
    },
  }
}
