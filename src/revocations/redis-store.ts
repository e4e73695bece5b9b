/**
 * Revocations that replicas share in Redis. None is ever changed or taken back, so that each replica adds
 * what it reads to what it knows, several times a second. A Redis that fails, has lost its data or has gone
 * back to earlier data therefore brings no session back: replicas write what is missing there.
 */
import { randomBytes } from 'node:crypto'

import { throttledLog } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import { listOf, numberOf, textOf, textsOf, unexpectedReply } from '../state/script-reply.ts'
import type { SharedStore } from '../state/shared-store.ts'
import { createStaleness, type StalenessOptions } from '../state/staleness.ts'
import { covers, type Revocation } from './revocation.ts'
import { openRevocation, sealRevocation } from './revocation-record.ts'
import { ADD_REVOCATIONS, READ_REVOCATIONS } from './revocation-scripts.ts'
import type { RevocationSet } from './revocation-set.ts'
import { notKept, tooMany, type RevocationStore } from './store.ts'

export interface RedisRevocationStoreOptions extends StalenessOptions {
  /** The part of the keys that is for this collection. */
  readonly name: string
  /** Revocations that are kept. */
  readonly maxEntries: number
}

export interface RedisRevocationStoreEffects {
  readonly store: SharedStore
  readonly set: RevocationSet
  readonly log: Log
  /** Called with how many are kept. */
  readonly onSize: (size: number) => void
  /** Called with the seconds since all of them were known. */
  readonly onAge: (seconds: number) => void
  /** Milliseconds, monotonic. */
  readonly elapsed?: () => number
}

/** With the deadline of a script, a revocation is known well within a second. */
const POLL_MS = 400
/** How often everything is read, and what is missing written back. */
const COMPARE_MS = 60_000
/** Records that one script reads or writes. */
const BATCH = 500
/** Redis removes a record so much later, since its clock may be ahead. */
const CLOCK_SLACK_MS = 3_600_000

interface Reading {
  readonly name: string
  readonly last: number
  readonly read: number
  readonly fields: readonly string[]
  readonly records: readonly string[]
}

/** Creates it, and begins to follow Redis. */
export function createRedisRevocationStore(
  options: RedisRevocationStoreOptions,
  effects: RedisRevocationStoreEffects,
): RevocationStore {
  const { maxEntries } = options
  const { store, set, log, onSize, onAge, elapsed = () => performance.now() } = effects
  const throttled = throttledLog(log)
  const staleness = createStaleness(options, TEXTS, { store, elapsed })
  const [about, order, ends, records] = ['about', 'order', 'ends', 'records'].map((what) =>
    store.key(options.name, what),
  ) as [string, string, string, string]
  /** For the log: there is more than one collection. */
  const ownKeys = store.key(options.name, '*')
  /** What was read: the collection, and the number of its last record. */
  let position = { name: '', last: 0 }
  let openedWith = store.records
  let comparedAt = -Infinity
  let isClosed = false
  let running: Promise<void> | undefined

  function opened(fields: readonly string[], sealed: readonly string[]): Revocation[] {
    return fields.flatMap((field, i) => {
      const one = openRevocation(sealed[i] ?? '', field, store.records)
      return one === undefined ? [] : [one]
    })
  }

  /** Reads what was added, from the first record on if another collection has taken its place. */
  async function read(from: typeof position): Promise<{
    readonly found: readonly Revocation[]
    readonly position: typeof position
    readonly isWhole: boolean
    readonly unread: number
  }> {
    const found: Revocation[] = []
    let at = from
    let isWhole = from.last === 0
    let count = 0
    for (;;) {
      const { name, last, ...rest } = await store.run(
        READ_REVOCATIONS,
        [about, order, records],
        [at.name, at.last, BATCH],
        readingOf,
      )
      if (name !== at.name || last < at.last) {
        // Between two of its parts: the next turn begins again.
        if (at !== from) return unexpectedReply()
        isWhole = true
      } else if (rest.read < last && rest.read <= at.last) return unexpectedReply()
      count += rest.fields.length
      found.push(...opened(rest.fields, rest.records))
      at = { name, last: rest.read }
      if (rest.read >= last) return { found, position: at, isWhole, unread: count - found.length }
    }
  }

  async function update(): Promise<void> {
    // After a reload of the secret, more of them may be readable.
    const isDue = elapsed() - comparedAt >= COMPARE_MS || store.records !== openedWith
    const sealer = store.records
    const reading = await read(isDue ? { name: '', last: 0 } : position)
    const { found, isWhole, unread } = reading
    set.merge(found)
    if (isWhole) {
      await writeBack(found)
      openedWith = sealer
      comparedAt = elapsed()
    }
    position = reading.position
    staleness.wasRead(isWhole ? unread : staleness.unreadable + unread)
    const { unreadable } = staleness
    if (unreadable > 0) {
      throttled.error(
        { revocations: unreadable, keys: ownKeys },
        'revocations in Redis cannot be read',
      )
    }
    onSize(set.size)
  }

  /** @param found all that is in Redis */
  async function writeBack(found: readonly Revocation[]): Promise<void> {
    const there = new Map<string, Revocation>()
    for (const one of found) {
      const known = there.get(one.key)
      if (known === undefined || covers(one, known)) there.set(one.key, one)
    }
    const missing = set.all().filter((one) => {
      const known = there.get(one.key)
      return known === undefined || !covers(known, one)
    })
    for (let i = 0; i < missing.length; i += BATCH) {
      if ((await write(missing.slice(i, i + BATCH), undefined)) === -1) return
    }
    if (missing.length === 0) return
    log.warn(
      { revocations: missing.length, keys: ownKeys },
      'Redis lacked revocations; they were written back',
    )
  }

  function fieldOf({ key, before }: Revocation): string {
    return store.names.of('revocation', `${key} ${before ?? ''}`)
  }

  /** Returns what the script does. */
  function write(added: readonly Revocation[], once: Revocation | undefined): Promise<number> {
    const values = added.flatMap((one) => {
      const field = fieldOf(one)
      return [field, sealRevocation(one, field, store.records), one.until + CLOCK_SLACK_MS]
    })
    const unless = once === undefined ? '' : fieldOf(once)
    return store.run(
      ADD_REVOCATIONS,
      [about, order, ends, records],
      [randomBytes(12).toString('base64url'), unless, maxEntries, ...values],
      numberOf,
    )
  }

  function follow(): void {
    onAge(staleness.age)
    if (isClosed || running !== undefined) return
    running = update()
      .catch(() => undefined)
      .finally(() => (running = undefined))
  }

  const timer = setInterval(follow, POLL_MS).unref()
  store.onUsable(() => {
    comparedAt = -Infinity
    follow()
  })

  return {
    async add({ revocations, once }) {
      if (once !== undefined && set.get(once.key) !== undefined) return false
      const added = once === undefined ? revocations : [...revocations, once]
      let result: number
      try {
        result = await write(added, once)
      } catch (error) {
        // In effect here at once, and in Redis as soon as it can be used again.
        if (set.size + revocations.length <= maxEntries) set.merge(revocations)
        throw notKept('Redis cannot be used', error)
      }
      if (result === -1) throw tooMany(maxEntries)
      if (result === 0) return false
      set.merge(added)
      onSize(set.size)
      return true
    },
    get missing() {
      return staleness.missing
    },
    get unavailable() {
      return staleness.unavailable
    },
    close() {
      isClosed = true
      clearInterval(timer)
    },
  }
}

const TEXTS = {
  notRead: 'the revocations have not been read from Redis yet',
  unreadable: 'revocations in Redis cannot be read: put back the secret that they were sealed with',
  unknown: 'Gatehouse does not yet know which sessions have ended',
  stale: 'Gatehouse has not been able to read for too long which sessions have ended',
}

function readingOf(reply: unknown): Reading {
  const [name, last, read, fields, records] = listOf(reply)
  const reading = {
    ...{ name: textOf(name), last: numberOf(last), read: numberOf(read) },
    ...{ fields: textsOf(fields), records: textsOf(records) },
  }
  return reading.fields.length === reading.records.length ? reading : unexpectedReply()
}
