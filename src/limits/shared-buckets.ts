/**
 * Buckets that replicas share. As long as a bucket holds much, a replica gives out tokens of its own copy,
 * charges them in Redis afterwards, and corrects the copy by the reply: that costs no request any time.
 * Near the end of a bucket, it asks first. What several replicas give out beyond the limit before they
 * learn of each other is a debt of the bucket: it is at most what arrives within one round trip.
 */
import type { SharedStore } from '../state/shared-store.ts'
import { CHARGE, readCharge, stepOf, type Charge } from './limit-scripts.ts'
import { createOwnPart, stateUnavailable } from './own-part.ts'
import { createTokenBuckets, type BucketSize, type Taken } from './token-bucket.ts'

export interface SharedBucketsOptions {
  readonly size: BucketSize
  /** Most keys that are tracked. */
  readonly maxKeys: number
  /** What the keys are names of, such as `address`. */
  readonly kind: string
  /** What the limit is for; a part of the keys in Redis. */
  readonly limit: string
  readonly onFailure: 'local' | 'refuse'
}

export interface SharedBucketsEffects {
  readonly store: Pick<SharedStore, 'problem' | 'replicas' | 'names' | 'key' | 'run'>
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
}

/** `now` is in milliseconds of a monotonic clock. */
export interface SharedBuckets {
  /**
   * Takes a token if there is one; a promise only if Redis has to be asked.
   *
   * @throws StatusError 503 without Redis, with `onFailure: refuse`
   */
  take(key: string, now: number): Taken | Promise<Taken>
  /** Gives back a token that was taken for nothing. */
  refund(key: string, now: number): void
}

/** How long tokens may be given out without a charge. */
const CHARGE_DELAY_MS = 20
/** They are charged at once when they are more than this part of what is left. */
const UNCHARGED_PART = 1 / 20
/** Redis is asked first when less than this part of a bucket is left, or less than these tokens. */
const SCARCE_PART = 1 / 10
const SCARCE_TOKENS = 20

/** Creates the buckets; every key begins with a full one. */
export function createSharedBuckets(
  { size, maxKeys, kind, limit, onFailure }: SharedBucketsOptions,
  { store, now }: SharedBucketsEffects,
): SharedBuckets {
  const { burst } = size
  const scarce = Math.max(SCARCE_TOKENS, burst * SCARCE_PART)
  const copies = createTokenBuckets(size, maxKeys)
  /** For the time without the store. What is admitted with it counts here too: a failure fills no bucket. */
  const parts = createOwnPart(size, maxKeys, { store })
  /** Given out and not charged, by key. */
  let uncharged = new Map<string, number>()
  const charging = new Set<string>()
  let timer: NodeJS.Timeout | undefined
  let isQueued = false

  function waitingOf(key: string): number {
    return uncharged.get(key) ?? 0
  }

  function isUrgent(key: string, left: number): boolean {
    return waitingOf(key) > left * UNCHARGED_PART
  }

  function schedule(isNow: boolean): void {
    if (!isNow) {
      timer ??= setTimeout(chargeAll, CHARGE_DELAY_MS).unref()
      return
    }
    if (isQueued) return
    isQueued = true
    // What is taken and given back in the same turn costs nothing.
    queueMicrotask(chargeAll)
  }

  function chargeAll(): void {
    isQueued = false
    clearTimeout(timer)
    timer = undefined
    const waiting = uncharged
    uncharged = new Map()
    for (const [key, tokens] of waiting) {
      if (charging.has(key)) uncharged.set(key, tokens)
      else if (tokens !== 0) void charge(key, tokens)
    }
  }

  /** @param wanted tokens that are only taken if they are there */
  async function run(key: string, tokens: number, wanted: 0 | 1): Promise<Charge> {
    const charged = await store.run(
      CHARGE,
      [store.key(store.names.of(kind, key), limit)],
      [stepOf(size), burst, tokens, wanted],
      (reply) => readCharge(reply, size),
    )
    copies.lower(key, charged.tokens - waitingOf(key), now())
    return charged
  }

  async function charge(key: string, tokens: number): Promise<void> {
    charging.add(key)
    let left = 0
    try {
      left = (await run(key, tokens, 0)).tokens
    } catch {
      // The store reports it. What was not charged is not charged later: it was of another time.
      uncharged.delete(key)
    }
    charging.delete(key)
    if (uncharged.has(key)) schedule(isUrgent(key, left))
  }

  async function ask(key: string): Promise<Taken> {
    const waiting = waitingOf(key)
    uncharged.delete(key)
    let charged: Charge
    try {
      charged = await run(key, waiting, 1)
    } catch {
      return takeOwnPart(key, now())
    }
    const { allowed, tokens, waitMs } = charged
    if (allowed) parts.drain(key, now())
    const resetSeconds = Math.ceil((burst - tokens) / size.requestsPerSecond)
    return {
      allowed,
      state: { limit: burst, remaining: Math.max(0, Math.floor(tokens)), resetSeconds },
      waitMs,
    }
  }

  function takeOwnPart(key: string, at: number): Taken {
    if (onFailure === 'refuse') throw stateUnavailable()
    return parts.take(key, at)
  }

  return {
    take(key, at) {
      if (store.problem !== undefined) return takeOwnPart(key, at)
      const taken = copies.take(key, at)
      if (!taken.allowed) return taken
      if (taken.state.remaining < scarce) return ask(key)
      parts.drain(key, at)
      uncharged.set(key, waitingOf(key) + 1)
      schedule(isUrgent(key, taken.state.remaining))
      return taken
    },
    refund(key, at) {
      if (store.problem !== undefined) {
        parts.refund(key, at)
        return
      }
      copies.refund(key, at)
      uncharged.set(key, waitingOf(key) - 1)
      schedule(false)
    },
  }
}
