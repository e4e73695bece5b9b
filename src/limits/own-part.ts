/** What one of several replicas may admit by itself, so that all together keep to the limits. */
import type { SharedStore } from '../state/shared-store.ts'
import { retryAfter, StatusError } from '../status.ts'
import { createTokenBuckets, type BucketSize, type TokenBuckets } from './token-bucket.ts'

export interface OwnPartEffects {
  readonly store: Pick<SharedStore, 'replicas'>
}

/** Creates the buckets of this replica's part; they follow the number of replicas. */
export function createOwnPart(
  size: BucketSize,
  maxKeys: number,
  { store }: OwnPartEffects,
): Pick<TokenBuckets, 'take' | 'drain' | 'refund'> {
  let { replicas } = store
  const buckets = createTokenBuckets(partOfSize(size, replicas), maxKeys)

  const current = (): TokenBuckets => {
    if (store.replicas !== replicas) {
      ;({ replicas } = store)
      buckets.resize(partOfSize(size, replicas))
    }
    return buckets
  }

  return {
    take: (key, now) => current().take(key, now),
    drain: (key, tokens, now) => current().drain(key, tokens, now),
    refund: (key, now) => current().refund(key, now),
  }
}

function partOfSize({ requestsPerSecond, burst }: BucketSize, replicas: number): BucketSize {
  return { requestsPerSecond: requestsPerSecond / replicas, burst: partOfCount(burst, replicas) }
}

/** This replica's part of a number of running requests; at least one. */
export function partOfCount(max: number, replicas: number): number {
  return Math.max(1, Math.floor(max / replicas))
}

/**
 * Replicas that share what Redis does not know of yet. At least two: others count a replica that has started
 * only after seconds, and until then the one that was alone must have left it something.
 */
export function sharersOf({ replicas }: Pick<SharedStore, 'replicas'>): number {
  return Math.max(2, replicas)
}

/** The refusal of `onFailure: refuse`. */
export function stateUnavailable(): StatusError {
  return new StatusError(
    'ServiceUnavailable',
    'the limits that Gatehouse shares with its replicas cannot be read, retry after 1s',
    retryAfter(1),
  )
}
