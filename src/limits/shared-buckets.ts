/**
 * Buckets that replicas share. As long as a bucket holds much, a replica gives out tokens of its own copy,
 * charges them in Redis afterwards, and corrects the copy by the reply: no request waits for that. Near the
 * end of a bucket, it asks first. For a user, running-elsewhere.ts may also say that it has to ask first;
 * what runs is reported together with the tokens.
 *
 * Replicas can exceed a limit by what they have given out and Redis has not confirmed. Together, that is at
 * most a twentieth of a bucket, and the bucket owes it: it refills from below zero. A replica that is killed
 * takes its part of that with it, and nobody charges it.
 */
import { LEASE_MS, type SharedStore } from '../state/shared-store.ts'
import { CHARGE, readCharge, stepOf, type Charge } from './limit-scripts.ts'
import { createOwnPart, partOfCount, sharersOf, stateUnavailable } from './own-part.ts'
import type { RunningElsewhere, RunningOfKeys } from './running-elsewhere.ts'
import {
  createTokenBuckets,
  type BucketSize,
  type Taken,
  type TokenBuckets,
} from './token-bucket.ts'

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
  readonly store: Pick<
    SharedStore,
    'problem' | 'replica' | 'replicas' | 'names' | 'key' | 'run' | 'onUsable'
  >
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
  /** Undefined where nothing is counted. */
  readonly running?: RunningOfKeys
  /** Belongs to `running`. All buckets with the same `running` share it: each of them reports all that runs. */
  readonly elsewhere?: RunningElsewhere
}

/** What was decided of a token and what runs with it. */
export interface Confirmed extends Taken {
  /** How many run, this one included, as far as it counts for `maxRunning`; 0 where nothing is counted. */
  readonly running: number
  /** How many may run: of all replicas or, without Redis, in this one. */
  readonly maxRunning: number
}

/** `now` is in milliseconds of a monotonic clock. */
export interface SharedBuckets {
  /** This replica's copies of the buckets. */
  readonly copies: Pick<TokenBuckets, 'take'>
  /**
   * Takes a token if there is one; a promise only if Redis has to be asked.
   *
   * @throws StatusError 503 without Redis, with `onFailure: refuse`
   */
  take(key: string, now: number): Taken | Promise<Taken>
  /**
   * Decides about a token that was taken of the copy; undefined if that was enough.
   *
   * @param left tokens that the copy has now
   * @throws StatusError as `take`
   */
  confirm(key: string, left: number, now: number): Confirmed | Promise<Confirmed> | undefined
  /** Gives back a token that was taken for nothing. */
  refund(key: string, now: number): void
  /** Charges everything that was given out. Never rejects. */
  close(): Promise<void>
}

/** How long tokens may be given out without a charge. */
const CHARGE_DELAY_MS = 50
/** All replicas together give out at most this part of what is left before Redis has confirmed it. */
const UNCONFIRMED_PART = 1 / 20

/** Creates the buckets; every key begins with a full one. */
export function createSharedBuckets(
  { size, maxKeys, kind, limit, onFailure }: SharedBucketsOptions,
  { store, now, running, elsewhere }: SharedBucketsEffects,
): SharedBuckets {
  const { burst } = size
  const copies = createTokenBuckets(size, maxKeys)
  /** For the time without the store. What is admitted with it counts here too: a failure fills no bucket. */
  const parts = createOwnPart(size, maxKeys, { store })
  /** Given out and not charged, by key. */
  const uncharged = new Map<string, number>()
  /** Keys of those that are charged at the end of this turn. */
  const urgent = new Set<string>()
  /** Sent to Redis, without a reply yet. */
  const sent = new Map<string, number>()
  const charging = new Map<string, Promise<void>>()
  let timer: NodeJS.Timeout | undefined

  /** How many of the tokens that are left this replica may give out before Redis has confirmed them. */
  function unconfirmedOf(left: number): number {
    return (left * UNCONFIRMED_PART) / sharersOf(store)
  }

  /** Charges at once when half of what may be unconfirmed is given out; otherwise many tokens together. */
  function schedule(key: string, left: number): void {
    if (countIn(uncharged, key) <= unconfirmedOf(left) / 2) {
      timer ??= setTimeout(chargeAll, CHARGE_DELAY_MS).unref()
      return
    }
    // What is taken and given back in the same turn costs nothing.
    if (urgent.size === 0) queueMicrotask(chargeUrgent)
    urgent.add(key)
  }

  function chargeUrgent(): void {
    for (const key of urgent) chargeKey(key)
    urgent.clear()
  }

  function chargeAll(): void {
    clearTimeout(timer)
    timer = undefined
    for (const key of uncharged.keys()) chargeKey(key)
  }

  function chargeKey(key: string): void {
    // What is given out during a charge is charged after it.
    if (!uncharged.has(key) || charging.has(key)) return
    charging.set(key, charge(key, taken(key)))
  }

  /**
   * Returns the tokens that were given out and not charged, for the caller to charge, and takes them from this
   * replica's own part.
   */
  function taken(key: string): number {
    const tokens = countIn(uncharged, key)
    uncharged.delete(key)
    if (tokens > 0) parts.drain(key, tokens, now())
    return tokens
  }

  /** @param wanted tokens that are only taken if they are there */
  async function run(key: string, tokens: number, wanted: 0 | 1): Promise<Charge> {
    const at = now()
    const keys = [store.key(store.names.of(kind, key), limit)]
    const values: (string | number)[] = [stepOf(size), burst, tokens, wanted]
    const count = running === undefined ? 0 : countToReport(running, key, wanted)
    if (running !== undefined) {
      keys.push(running.keyOf(key))
      values.push(store.replica, count, running.max, LEASE_MS)
    }
    addTo(sent, key, tokens + wanted)
    const report = running?.begin(key, count)
    try {
      const charged = await store.run(CHARGE, keys, values, (reply) => readCharge(reply, size))
      copies.lower(key, charged.tokens - countIn(uncharged, key), now())
      elsewhere?.heard(key, charged.others, at)
      report?.done(wanted === 0 || !isRefused(charged, count))
      return charged
    } catch (error) {
      elsewhere?.forget(key)
      report?.failed()
      throw error
    } finally {
      addTo(sent, key, -tokens - wanted)
    }
  }

  /** Whether the script refused, and so left the lease as it was. */
  function isRefused({ allowed, others }: Charge, count: number): boolean {
    return !allowed || others + count > (running?.max ?? Infinity)
  }

  async function charge(key: string, tokens: number): Promise<void> {
    let left = 0
    try {
      left = (await run(key, tokens, 0)).tokens
    } catch {
      // The store reports it. What was not charged is not charged later: it was of another time.
      taken(key)
    }
    charging.delete(key)
    if (uncharged.has(key)) schedule(key, left)
  }

  async function ask(key: string): Promise<Confirmed> {
    const waiting = taken(key)
    const own = running?.count(key) ?? 0
    let charged: Charge
    try {
      charged = await run(key, waiting, 1)
    } catch {
      return takeOwnPart(key, now())
    }
    const { allowed, tokens, waitMs, fullMs, others } = charged
    if (allowed) parts.drain(key, 1, now())
    return {
      allowed,
      state: {
        limit: burst,
        remaining: Math.max(0, Math.floor(tokens)),
        resetSeconds: Math.ceil(fullMs / 1_000),
      },
      waitMs,
      running: others + own,
      maxRunning: running?.max ?? Infinity,
    }
  }

  function takeOwnPart(key: string, at: number): Confirmed {
    if (onFailure === 'refuse') throw stateUnavailable()
    taken(key)
    return {
      ...parts.take(key, at),
      running: running?.count(key) ?? 0,
      maxRunning: running === undefined ? Infinity : partOfCount(running.max, store.replicas),
    }
  }

  /** Whether tokens may be given out that Redis learns of later. */
  function mayCharge(key: string, left: number, at: number): boolean {
    if (countIn(uncharged, key) + countIn(sent, key) + 1 > unconfirmedOf(left)) return false
    // Redis may be slow, and keys may be whatever a client sends.
    if (uncharged.size + charging.size >= maxKeys) return false
    return elsewhere === undefined || elsewhere.mayRun(key, at)
  }

  function confirm(
    key: string,
    left: number,
    at: number,
  ): Confirmed | Promise<Confirmed> | undefined {
    if (store.problem !== undefined) return takeOwnPart(key, at)
    if (!mayCharge(key, left, at)) return ask(key)
    addTo(uncharged, key, 1)
    schedule(key, left)
    return undefined
  }

  return {
    copies,
    confirm,
    take(key, at) {
      if (store.problem !== undefined) return takeOwnPart(key, at)
      const taken = copies.take(key, at)
      if (!taken.allowed) return taken
      return confirm(key, taken.state.remaining, at) ?? taken
    },
    refund(key, at) {
      if (store.problem !== undefined) {
        parts.refund(key, at)
        return
      }
      copies.refund(key, at)
      addTo(uncharged, key, -1)
      schedule(key, burst)
    },
    async close() {
      // Twice, since a key that is being charged may have more. Each time takes one deadline at most.
      for (let i = 0; i < 2; i += 1) {
        chargeAll()
        await Promise.all(charging.values())
      }
    },
  }
}

/**
 * A request that waits for Redis reports the exact number. A charge afterwards never lowers the lease:
 * running-leases.ts does that, after some time.
 */
function countToReport(running: RunningOfKeys, key: string, wanted: 0 | 1): number {
  const count = running.count(key)
  return wanted === 1 ? count : Math.max(count, running.reported(key))
}

function countIn(counts: ReadonlyMap<string, number>, key: string): number {
  return counts.get(key) ?? 0
}

/** A count of zero takes no memory. */
function addTo(counts: Map<string, number>, key: string, amount: number): void {
  const count = countIn(counts, key) + amount
  if (count === 0) counts.delete(key)
  else counts.set(key, count)
}
