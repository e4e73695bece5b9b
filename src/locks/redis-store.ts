/**
 * Locks that replicas share in Redis. Each replica asks for changes several times a second, and keeps what
 * it knows: a Redis that fails lifts no lock, and one that has lost its data gets the locks back.
 */
import { randomBytes } from 'node:crypto'

import { throttledLog } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { unexpectedReply, type SharedStore } from '../state/shared-store.ts'
import { StatusError } from '../status.ts'
import { openLock, sealLock } from './lock-record.ts'
import { CHANGE_LOCKS, READ_LOCKS, RESTORE_LOCKS, VERSION_FIELD } from './lock-scripts.ts'
import type { Lock, LockTarget } from './lock.ts'
import type { Locks } from './locks.ts'
import { tooManyLocks } from './memory-store.ts'
import { MAX_LOCKS, type LockStore } from './store.ts'

export interface RedisLockStoreOptions {
  /** Whether nobody is let in before the locks were read: there may be some. */
  readonly isRequired: boolean
  /** How long locks count as known without Redis, in milliseconds. */
  readonly maxStaleness: number
  /** What happens after that. */
  readonly onStale: 'keep' | 'refuse'
}

export interface RedisLockStoreEffects {
  readonly store: SharedStore
  readonly locks: Pick<Locks, 'replace' | 'now'>
  readonly log: Log
  readonly metrics: Pick<Metrics, 'locksAge'>
  /** By how many milliseconds the clock of Redis is ahead of this machine's. */
  readonly onClock: (offset: number) => void
  /** This machine's clock, in milliseconds since the epoch. */
  readonly wallClock?: () => number
  /** Milliseconds, monotonic. */
  readonly elapsed?: () => number
}

/** With the deadline of a script, a change is known well within a second. */
const POLL_MS = 400

const LOST = -1
const TOO_MANY = -2

interface Reading {
  readonly version: string
  readonly time: number
  /** Undefined if nothing has changed. */
  readonly records: ReadonlyMap<string, string> | undefined
}

/** Creates it, and begins to follow Redis. */
export function createRedisLockStore(
  { isRequired, maxStaleness, onStale }: RedisLockStoreOptions,
  effects: RedisLockStoreEffects,
): LockStore {
  const { store, locks, log, metrics, onClock } = effects
  const { wallClock = Date.now, elapsed = () => performance.now() } = effects
  const throttled = throttledLog(log)
  const key = store.key('locks', 'records')
  /** By the field of the hash. */
  let known: ReadonlyMap<string, Lock> = new Map()
  let version = ''
  let unreadable = 0
  /** When all locks were known; undefined: never. */
  let knownAt: number | undefined
  const startedAt = elapsed()
  let isClosed = false
  // One after the other, so that no earlier reading replaces a later one.
  let last: Promise<unknown> = Promise.resolve()
  let waiting = 0

  function inTurn<T>(step: () => Promise<T>): Promise<T> {
    waiting += 1
    const result = last.then(step).finally(() => (waiting -= 1))
    last = result.catch(() => undefined)
    return result
  }

  async function read(mayRestore = true): Promise<void> {
    const {
      version: current,
      time,
      records,
    } = await store.run(READ_LOCKS, [key], [version], readingOf)
    onClock(time - wallClock())
    if (current === '' && known.size > 0) {
      if (!mayRestore) throw new Error('Redis loses what is written')
      await restore()
      return
    }
    if (records !== undefined) take(records)
    version = current
    if (unreadable === 0) knownAt = elapsed()
    else throttled.error({ locks: unreadable }, 'locks in Redis cannot be read')
  }

  function take(records: ReadonlyMap<string, string>): void {
    const next = new Map<string, Lock>()
    unreadable = 0
    for (const [field, sealed] of records) {
      if (field === VERSION_FIELD) continue
      const lock = openLock(sealed, field, store.records)
      if (lock === undefined) unreadable += 1
      // What it was before is better than nothing.
      const last = lock ?? known.get(field)
      if (last !== undefined) next.set(field, last)
    }
    known = next
    locks.replace('store', [...known.values()])
  }

  /** Redis has lost the locks: the first replica that notices it brings them back. */
  async function restore(): Promise<void> {
    const kept = [...known].filter(([, { until = Infinity }]) => locks.now() < until)
    const records = kept.flatMap(([field, lock]) => [field, sealLock(lock, field, store.records)])
    const isFirst = await store.run(RESTORE_LOCKS, [key], [newVersion(), ...records], numberOf)
    if (isFirst === 1) {
      log.warn({ locks: kept.length }, 'Redis had lost the locks; they were restored')
    }
    version = ''
    await read(false)
  }

  async function change(
    set: readonly [field: string, sealed: string],
    remove: readonly string[],
  ): Promise<number> {
    const attempt = (): Promise<number> => {
      const values = [version === '' ? 0 : 1, newVersion(), MAX_LOCKS, ...set, ...remove]
      return store.run(CHANGE_LOCKS, [key], values, numberOf)
    }
    let result = await attempt()
    if (result === LOST) {
      await restore()
      result = await attempt()
    }
    if (result === LOST) throw new Error('Redis loses what is written')
    await read()
    return result
  }

  const fieldsOf = (target: LockTarget, name: string): readonly string[] =>
    store.names.everyOf(`lock ${target}`, name)

  function ended(): readonly string[] {
    const now = locks.now()
    return [...known].filter(([, { until = Infinity }]) => until <= now).map(([field]) => field)
  }

  function follow(): void {
    metrics.locksAge.set((elapsed() - (knownAt ?? startedAt)) / 1_000)
    if (isClosed || waiting > 0) return
    inTurn(read).catch(() => undefined)
  }

  const timer = setInterval(follow, POLL_MS).unref()
  store.onUsable(follow)

  return {
    async set(lock) {
      const [field = '', ...earlier] = fieldsOf(lock.target, lock.name)
      const sealed = sealLock(lock, field, store.records)
      const remove = [...earlier, ...ended()].filter((one) => one !== field)
      const removed = await inTurn(() => change([field, sealed], remove)).catch(notStored)
      if (removed === TOO_MANY) throw tooManyLocks()
    },
    async lift(target, name) {
      const fields = fieldsOf(target, name)
      return (await inTurn(() => change(['', ''], fields)).catch(notStored)) > 0
    },
    get missing() {
      if (knownAt !== undefined || !isRequired) return undefined
      return store.problem ?? (unreadable > 0 ? UNREADABLE : NOT_YET)
    },
    get unavailable() {
      if (!isRequired) return undefined
      if (knownAt === undefined) return NEVER_READ
      return onStale === 'refuse' && elapsed() - knownAt > maxStaleness ? STALE : undefined
    },
    close() {
      isClosed = true
      clearInterval(timer)
    },
  }
}

const UNREADABLE =
  'locks in Redis cannot be read: put the secret back that they were sealed with, or set them again'
const NOT_YET = 'the locks have not been read from Redis yet'
const NEVER_READ = 'Gatehouse does not know yet who is locked'
const STALE = 'Gatehouse has not been able to find out for too long who is locked'

function notStored(error: unknown): never {
  if (error instanceof StatusError) throw error
  throw new StatusError(
    'ServiceUnavailable',
    'Redis cannot be used, so it is not certain whether the lock was changed: try again, or use the lock file',
    { cause: error },
  )
}

function newVersion(): string {
  return randomBytes(12).toString('base64url')
}

function numberOf(reply: unknown): number {
  return typeof reply === 'number' ? reply : unexpectedReply()
}

function readingOf(reply: unknown): Reading {
  if (!Array.isArray(reply)) return unexpectedReply()
  const [version, time, fields] = reply as readonly unknown[]
  if (typeof version !== 'string' || typeof time !== 'number') return unexpectedReply()
  if (fields === undefined) return { version, time, records: undefined }
  if (!isTexts(fields) || fields.length % 2 > 0) return unexpectedReply()
  const records = new Map<string, string>()
  for (let i = 0; i < fields.length; i += 2) records.set(fields[i] ?? '', fields[i + 1] ?? '')
  return { version, time, records }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string')
}
