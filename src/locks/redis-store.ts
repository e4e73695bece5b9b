/**
 * Locks that replicas share in Redis. Each replica asks for changes several times a second, and keeps what
 * it knows: a Redis that fails lifts no lock. One that has lost its data, has gone back to earlier data or
 * was changed by somebody else gets the locks back.
 */
import { throttledLog } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { listOf, numberOf, textOf, textsOf, unexpectedReply } from '../state/script-reply.ts'
import type { SharedStore } from '../state/shared-store.ts'
import { createStaleness, type StalenessOptions } from '../state/staleness.ts'
import { StatusError } from '../status.ts'
import { sealManifest, sequenceOf, type LockRecords } from './lock-manifest.ts'
import { openLock, sealLock } from './lock-record.ts'
import { CHANGE_LOCKS, READ_LOCKS, VERSION_FIELD } from './lock-scripts.ts'
import type { Lock, LockTarget } from './lock.ts'
import type { Locks } from './locks.ts'
import { requireRoom, type LockStore } from './store.ts'

export interface RedisLockStoreOptions extends StalenessOptions {
  /** Whether nobody is let in before the locks were read: there may be some. */
  readonly isRequired: boolean
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

/** Attempts to change what other replicas change at the same time. */
const MAX_ATTEMPTS = 5

interface Reading {
  readonly version: string
  readonly time: number
  /** Undefined if nothing has changed. */
  readonly records: LockRecords | undefined
}

/** What is in Redis, as far as this replica knows. */
interface State {
  readonly version: string
  /** The highest number of a version. */
  readonly sequence: number
  readonly records: LockRecords
}

const NOTHING: LockRecords = new Map()

interface Edit {
  readonly set: readonly (readonly [field: string, sealed: string])[]
  readonly remove: readonly string[]
}

/** Creates it, and begins to follow Redis. */
export function createRedisLockStore(
  { isRequired, ...options }: RedisLockStoreOptions,
  effects: RedisLockStoreEffects,
): LockStore {
  const { store, locks, log, metrics, onClock } = effects
  const { wallClock = Date.now, elapsed = () => performance.now() } = effects
  const throttled = throttledLog(log)
  const staleness = createStaleness(options, TEXTS, { store, elapsed })
  const key = store.key('locks', 'records')
  /** By the field of the hash. */
  let known: ReadonlyMap<string, Lock> = new Map()
  let state: State = { version: '', sequence: 0, records: NOTHING }
  /** What the records were opened with. */
  let openedWith = store.records
  let isClosed = false
  // One after the other, so that no earlier reading replaces a later one.
  let last: Promise<unknown> = Promise.resolve()
  let waiting = 0

  function inTurn<T>(step: () => Promise<T>): Promise<T> {
    waiting += 1
    const result = last.then(() => step()).finally(() => (waiting -= 1))
    last = result.catch(() => undefined)
    return result
  }

  async function read(): Promise<void> {
    // After a reload of the secret, more of them may be readable.
    const values = [store.records === openedWith ? state.version : '']
    const { version, time, records } = await store.run(READ_LOCKS, [key], values, readingOf)
    onClock(time - wallClock())
    if (records !== undefined || version !== state.version) {
      await adopt(version, records ?? NOTHING)
    } else staleness.wasRead(staleness.unreadable)
    const { unreadable } = staleness
    if (unreadable > 0) throttled.error({ locks: unreadable }, 'locks in Redis cannot be read')
  }

  /** Believes what follows what was known, and completes anything else. */
  async function adopt(version: string, records: LockRecords): Promise<void> {
    const sequence = sequenceOf(version, records, store.records)
    const isSame = version === state.version
    if (sequence !== undefined && (isSame || sequence > state.sequence)) {
      take({ version, sequence, records })
    } else if (!staleness.isKnown) {
      // Nobody here can say what is missing.
      take({ version, sequence: state.sequence, records }, version === '' ? 0 : 1)
    } else await complete(version, records)
  }

  /** Writes back what is missing. */
  async function complete(version: string, records: LockRecords): Promise<void> {
    const found = opened(records)
    const lost = [...known].filter(([field, lock]) =>
      isLost(lock, records.has(field), found.get(field)),
    )
    const isReadable = version !== '' && found.size === records.size
    // With other secrets, two replicas would write without end.
    if (lost.length === 0 && !isReadable) {
      take({ version, sequence: state.sequence, records })
      return
    }
    const set = lost.map(([field, lock]) => [field, sealLock(lock, field, store.records)] as const)
    const isFirst = await write({ version, records }, { set, remove: [] })
    if (isFirst && lost.length > 0) {
      log.warn({ locks: lost.length }, 'Redis had lost the locks; they were restored')
    }
  }

  /** Of two locks of a target, the one counts that ends last. One that cannot be read may be newer. */
  function isLost(lock: Lock, isThere: boolean, found: Lock | undefined): boolean {
    const { until = Infinity } = lock
    if (until <= locks.now('store')) return false
    return found === undefined ? !isThere : until > (found.until ?? Infinity)
  }

  function opened(records: LockRecords): ReadonlyMap<string, Lock> {
    const found = new Map<string, Lock>()
    for (const [field, sealed] of records) {
      const lock = openLock(sealed, field, store.records)
      if (lock !== undefined) found.set(field, lock)
    }
    return found
  }

  /** @param doubtful locks that may be missing */
  function take(next: State, doubtful = 0): void {
    const found = opened(next.records)
    const taken = new Map<string, Lock>()
    for (const field of next.records.keys()) {
      // What it was before is better than nothing.
      const lock = found.get(field) ?? known.get(field)
      if (lock !== undefined) taken.set(field, lock)
    }
    openedWith = store.records
    state = next
    known = taken
    locks.replace('store', [...taken.values()])
    staleness.wasRead(next.records.size - found.size + doubtful)
  }

  /** False if somebody else has changed the locks since they were `from`. */
  async function write(from: Pick<State, 'version' | 'records'>, edit: Edit): Promise<boolean> {
    const { set, remove } = edit
    const removed = new Set(remove)
    const kept = [...from.records].filter(([field]) => !removed.has(field))
    const records = new Map([...kept, ...set])
    const sequence = state.sequence + 1
    const version = sealManifest(sequence, records, store.records)
    const values = [from.version, version, remove.length, ...remove, ...set.flat()]
    if ((await store.run(CHANGE_LOCKS, [key], values, numberOf)) !== 1) return false
    take({ version, sequence, records })
    return true
  }

  /** @param editOf makes the change of the locks as they are; undefined: there is nothing to change */
  async function change(editOf: () => Edit | undefined): Promise<boolean> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      await read()
      if (!staleness.isKnown) throw new Error(TEXTS.unreadable)
      const edit = editOf()
      if (edit === undefined) return false
      if (await write(state, edit)) return true
    }
    throw new Error('Redis loses what is written')
  }

  const fieldsOf = (target: LockTarget, name: string): readonly string[] =>
    store.names.everyOf(`lock ${target}`, name)

  function ended(): readonly string[] {
    const now = locks.now('store')
    return [...known].filter(([, { until = Infinity }]) => until <= now).map(([field]) => field)
  }

  function follow(): void {
    metrics.locksAge.set(staleness.age)
    if (isClosed || waiting > 0) return
    inTurn(read).catch(() => undefined)
  }

  const timer = setInterval(follow, POLL_MS).unref()
  store.onUsable(follow)

  return {
    async set(lock, before) {
      const [field = '', ...earlier] = fieldsOf(lock.target, lock.name)
      const sealed = sealLock(lock, field, store.records)
      const edit = (): Edit => {
        before()
        const remove = [...new Set([...earlier, ...ended()])].filter(
          (one) => one !== field && state.records.has(one),
        )
        if (!state.records.has(field)) {
          const others = [...known].flatMap(([one, other]) => (remove.includes(one) ? [] : [other]))
          requireRoom(lock, others, state.records.size - remove.length)
        }
        return { set: [[field, sealed]], remove }
      }
      await inTurn(() => change(edit)).catch(notStored)
    },
    async lift(target, name, before) {
      const fields = fieldsOf(target, name)
      const edit = (): Edit | undefined => {
        before()
        const remove = fields.filter((field) => state.records.has(field))
        return remove.length === 0 ? undefined : { set: [], remove }
      }
      return inTurn(() => change(edit)).catch(notStored)
    },
    get missing() {
      return isRequired ? staleness.missing : undefined
    },
    get unavailable() {
      return isRequired ? staleness.unavailable : undefined
    },
    close() {
      isClosed = true
      clearInterval(timer)
    },
  }
}

const TEXTS = {
  notRead: 'the locks have not been read from Redis yet',
  unreadable:
    'locks in Redis cannot be read: put back the secret that they were sealed with, or set them again',
  unknown: 'Gatehouse does not yet know who is locked',
  stale: 'Gatehouse has not been able to read the locks for too long',
}

function notStored(error: unknown): never {
  if (error instanceof StatusError) throw error
  throw new StatusError(
    'ServiceUnavailable',
    'Redis cannot be used, so the lock may or may not have been changed: try again, or use the lock file',
    { cause: error },
  )
}

function readingOf(reply: unknown): Reading {
  const parts = listOf(reply)
  const [version, time] = [textOf(parts[0]), numberOf(parts[1])]
  if (parts[2] === undefined) return { version, time, records: undefined }
  const fields = textsOf(parts[2])
  if (fields.length % 2 > 0) return unexpectedReply()
  const records = new Map<string, string>()
  for (let i = 0; i < fields.length; i += 2) records.set(fields[i] ?? '', fields[i + 1] ?? '')
  records.delete(VERSION_FIELD)
  return { version, time, records }
}
