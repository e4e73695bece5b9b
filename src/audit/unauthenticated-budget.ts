/**
 * How many bytes the events of unauthenticated clients may take. They can cause events at any rate below
 * the limit of their address, which is enough to rotate the history of all users away within hours.
 */
import { createLru } from '../lru.ts'

export interface UnauthenticatedBudgetOptions {
  /** Bytes that are added each second. */
  readonly bytesPerSecond: number
  /** Bytes that can be spent at once. */
  readonly burstBytes: number
}

export interface UnauthenticatedBudget {
  /**
   * Spends bytes. False: there are not enough, and none were spent.
   *
   * @param key identifies the address; undefined for a summary, which no address is charged for
   * @param now monotonic milliseconds
   */
  spend(key: string | undefined, bytes: number, now: number): boolean
}

/** One address gets this part of the burst and of the rate, so that others have events as well. */
const BURST_SHARE = 1 / 4
const RATE_SHARE = 1 / 2
/** Addresses that are tracked; the budget of all of them together limits those that are forgotten. */
const MAX_ADDRESSES = 1_000

interface Bucket {
  bytes: number
  /** When `bytes` was computed. */
  at: number
}

/** Makes a full budget. */
export function createUnauthenticatedBudget({
  bytesPerSecond,
  burstBytes,
}: UnauthenticatedBudgetOptions): UnauthenticatedBudget {
  const all: Bucket = { bytes: burstBytes, at: -Infinity }
  const addresses = createLru<Bucket>(MAX_ADDRESSES)

  function bucketOf(key: string, now: number): Bucket {
    let bucket = addresses.get(key)
    if (bucket === undefined) {
      bucket = { bytes: burstBytes * BURST_SHARE, at: now }
      addresses.set(key, bucket)
    }
    return refill(bucket, now, RATE_SHARE, BURST_SHARE)
  }

  function refill(bucket: Bucket, now: number, rateShare: number, burstShare: number): Bucket {
    const added = ((now - bucket.at) / 1_000) * bytesPerSecond * rateShare
    bucket.bytes = Math.min(burstBytes * burstShare, bucket.bytes + added)
    bucket.at = now
    return bucket
  }

  return {
    spend(key, bytes, now) {
      refill(all, now, 1, 1)
      const own = key === undefined ? undefined : bucketOf(key, now)
      if (all.bytes < bytes || (own !== undefined && own.bytes < bytes)) return false
      all.bytes -= bytes
      if (own !== undefined) own.bytes -= bytes
      return true
    },
  }
}
