/** Looks up groups in a source. Results are remembered, lookups are shared, and their time and number limited. */
import { createLru } from '../lru.ts'
import {
  MAX_SOURCE_GROUPS,
  ThrottledError,
  UnknownUserError,
  type GroupSource,
} from './group-source.ts'

export interface GroupLookupOptions {
  /** How long groups are remembered, in milliseconds. */
  readonly lifetime: number
  /** For one lookup with all its requests, in milliseconds. */
  readonly timeout: number
}

export interface GroupLookupEffects {
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  /** A user has other groups than before, or is no longer known. */
  readonly onChanged: () => void
  /**
   * Called for every lookup, except where the last result of the user is used again.
   *
   * @param reason undefined while the source is left alone, for a reason that was given before
   */
  readonly onResult: (result: 'ok' | 'unknown user' | 'failed', reason?: string) => void
}

export interface FoundGroups {
  readonly names: readonly string[]
  /** When they have to be looked up again, in milliseconds since the epoch. */
  readonly until: number
}

export interface GroupLookup {
  /** @throws UnknownUserError, or another Error if the source cannot say */
  find(user: string): Promise<FoundGroups>
  /** What was found last, or that the source no longer has the user; undefined if nothing is remembered. */
  last(user: string): readonly string[] | 'removed' | undefined
  /** Rejects with why the source cannot be asked. Undefined for a source that has everything in memory. */
  readonly check: (() => Promise<void>) | undefined
}

/** Names of groups that are remembered, of all users together. */
const MAX_REMEMBERED = 1_000_000
const MAX_PENDING = 256
/** After a failure the next request of the same user gets the same, so that a source that is down rests. */
const FAILURE_LIFETIME_MS = 2_000

interface Entry {
  readonly names: readonly string[]
  readonly until: number
}

interface Failure {
  readonly error: Error
  readonly until: number
}

/** Creates the lookup. Nothing that is older than its lifetime is ever used. */
export function createGroupLookup(
  source: GroupSource,
  { lifetime, timeout }: GroupLookupOptions,
  { clock, onChanged, onResult }: GroupLookupEffects,
): GroupLookup {
  const entries = createLru<Entry>(MAX_REMEMBERED, ({ names }) => names.length + 1)
  const failures = createLru<Failure>(MAX_PENDING * 4)
  const pending = new Map<string, Promise<FoundGroups>>()
  let pause = { until: 0, reason: '' }

  async function ask(user: string): Promise<FoundGroups> {
    const signal = AbortSignal.timeout(timeout)
    try {
      const names = await source.groupsOf(user, { signal, deadline: clock() + timeout })
      if (names.length > MAX_SOURCE_GROUPS) {
        throw new Error(`the user is in more than ${MAX_SOURCE_GROUPS} groups`)
      }
      const entry = { names, until: clock() + lifetime }
      const before = entries.peek(user)?.names
      entries.set(user, entry)
      failures.delete(user)
      onResult('ok')
      if (before !== undefined && !sameNames(before, names)) onChanged()
      return entry
    } catch (error) {
      throw rememberFailure(user, describe(error, signal, timeout))
    }
  }

  function rememberFailure(user: string, error: Error): Error {
    const now = clock()
    rememberPause(error, now)
    failures.set(user, { error, until: now + FAILURE_LIFETIME_MS })
    if (error instanceof UnknownUserError) {
      onResult('unknown user', error.message)
      if (entries.delete(user)) onChanged()
    } else onResult('failed', error.message)
    return error
  }

  function rememberPause(error: Error, now: number): void {
    if (!(error instanceof ThrottledError)) return
    const until = now + error.retryAfter
    if (until > pause.until) pause = { until, reason: error.message }
  }

  /** @throws ThrottledError while the source is left alone */
  function requireNoPause(now: number): void {
    if (now < pause.until) throw new ThrottledError(pause.reason, pause.until - now)
  }

  /** @throws Error when the source is not asked */
  function requireRoom(now: number): void {
    try {
      requireNoPause(now)
    } catch (error) {
      onResult('failed')
      throw error
    }
    if (pending.size < MAX_PENDING) return
    const error = new Error('too many lookups are in progress')
    onResult('failed', error.message)
    throw error
  }

  async function check(): Promise<void> {
    const now = clock()
    requireNoPause(now)
    const signal = AbortSignal.timeout(timeout)
    try {
      await source.check?.({ signal, deadline: now + timeout })
    } catch (error) {
      const described = describe(error, signal, timeout)
      rememberPause(described, clock())
      throw described
    }
  }

  return {
    check: source.check === undefined ? undefined : check,
    async find(user) {
      const now = clock()
      const entry = entries.get(user)
      if (entry !== undefined && now < entry.until) return entry
      const failure = failures.get(user)
      if (failure !== undefined && now < failure.until) throw failure.error
      const known = pending.get(user)
      if (known !== undefined) return known
      requireRoom(now)
      const asked = ask(user).finally(() => pending.delete(user))
      pending.set(user, asked)
      return asked
    },
    last(user) {
      const isRemoved = failures.peek(user)?.error instanceof UnknownUserError
      return isRemoved ? 'removed' : entries.peek(user)?.names
    },
  }
}

function describe(error: unknown, signal: AbortSignal, timeout: number): Error {
  if (error instanceof ThrottledError) return error
  if (signal.aborted) return new Error(`no response within ${timeout / 1_000} s`, { cause: error })
  return error instanceof Error ? error : new Error(String(error))
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  const names = new Set(a)
  return names.size === new Set(b).size && b.every((name) => names.has(name))
}
