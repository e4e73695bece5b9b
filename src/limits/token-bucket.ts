/** Token buckets by key, in bounded memory (golang.org/x/time/rate, as far as `AllowN(now, 1)` goes). */
import { createLru } from '../lru.ts'
import type { RateLimitState } from './limiter.ts'

export interface BucketSize {
  readonly requestsPerSecond: number
  readonly burst: number
}

export interface TokenBuckets {
  /** Takes a token, if there is one. `now`: milliseconds of a clock that only goes forward. */
  take(key: string, now: number): Taken
  /** Takes so many, there or not; false: the key has less than none now. `now` as above. */
  charge(key: string, tokens: number, now: number): boolean
}

export interface Taken {
  readonly allowed: boolean
  readonly state: RateLimitState
  /** Until the next token, in milliseconds; 0 when allowed. */
  readonly waitMs: number
}

interface Bucket {
  tokens: number
  at: number
}

/**
 * Of more than `maxKeys` keys those longest unused are forgotten, and begin with a full bucket when
 * they come again: a client with that many addresses is bound by the connection limits.
 */
export function createTokenBuckets(size: BucketSize, maxKeys: number): TokenBuckets {
  const { requestsPerSecond, burst } = size
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
      // A debt of more than a whole bucket would keep the key out for longer than it ever was in.
      bucket.tokens = Math.max(-burst, bucket.tokens - tokens)
      return bucket.tokens >= 0
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
