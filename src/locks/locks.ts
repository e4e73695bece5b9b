/** All locks in force, wherever they were set. */
import type { Authentication, UserInfo } from '../authentication/authenticator.ts'
import { retryAfter, StatusError } from '../status.ts'
import { lockRefusal, type Lock } from './lock.ts'
import { createLockSet, type LockedConnection, type LockSet } from './lock-set.ts'

/** Where locks come from. */
export type LockSource = 'file' | 'store'

export interface Locks {
  /** As `lockOf`; also the refusal of everybody while nobody knows who is locked. */
  refusalOf(...subject: Parameters<Locks['lockOf']>): StatusError | undefined
  /**
   * The refusal of an authenticated user by a lock, undefined if none applies.
   *
   * @param actingAs the user whom the request is made as (`kubectl --as`)
   */
  lockOf(
    authentication: Authentication,
    connection: LockedConnection,
    actingAs?: UserInfo,
  ): StatusError | undefined
  /** The locks of a source, some of which may have ended. */
  of(source: LockSource): readonly Lock[]
  /** The time by which locks of a source end, in milliseconds since the epoch. */
  now(source: LockSource): number
  /** Puts all locks of a source into effect, in place of its earlier ones. */
  replace(source: LockSource, locks: readonly Lock[]): void
}

export interface LocksEffects {
  /** This machine's clock, in milliseconds since the epoch. */
  readonly wallClock?: () => number
  /** By how many milliseconds the clock of the store is ahead of it. */
  readonly storeOffset?: () => number
  /** Running requests must be checked again. */
  readonly onChanged: () => void
  /** Why everybody is refused; undefined: only locked users are. */
  readonly unavailable?: () => string | undefined
}

/** Creates an empty list. */
export function createLocks({
  wallClock = Date.now,
  storeOffset = () => 0,
  onChanged,
  unavailable = () => undefined,
}: LocksEffects): Locks {
  const sets: Record<LockSource, LockSet> = { file: createLockSet([]), store: createLockSet([]) }
  // Empty sets are left out, so that nothing is looked up where nothing is locked.
  let inUse: readonly (readonly [LockSource, LockSet])[] = []

  function now(source: LockSource): number {
    const offset = storeOffset()
    // No clock that is ahead lifts a lock of the file, whichever of the two it is.
    return wallClock() + (source === 'file' ? Math.min(0, offset) : offset)
  }

  function lockOf(
    authentication: Authentication,
    connection: LockedConnection,
    actingAs?: UserInfo,
  ): StatusError | undefined {
    for (const [source, set] of inUse) {
      const at = now(source)
      const match =
        set.findUser(authentication.user, at) ??
        set.findCredential(authentication, connection, at) ??
        (actingAs === undefined ? undefined : set.findUser(actingAs, at))
      if (match !== undefined) return lockRefusal(match.lock, match.doubt)
    }
    return undefined
  }

  return {
    lockOf,
    refusalOf(...subject) {
      const problem = unavailable()
      if (problem === undefined) return lockOf(...subject)
      return new StatusError('ServiceUnavailable', problem, retryAfter(1))
    },
    of: (source) => sets[source].locks,
    now,
    replace(source, locks) {
      sets[source] = createLockSet(locks)
      inUse = (['file', 'store'] as const)
        .map((each) => [each, sets[each]] as const)
        .filter(([, set]) => set.locks.length > 0)
      onChanged()
    },
  }
}

/** @throws StatusError 403 that names the lock, if one applies; 503 while nobody knows who is locked */
export function refuseLocked(
  locks: Pick<Locks, 'refusalOf'>,
  ...subject: Parameters<Locks['refusalOf']>
): void {
  const refused = locks.refusalOf(...subject)
  if (refused !== undefined) throw refused
}

/** Whether a lock is one of this user, credential or address. */
export function isLockOf(
  lock: Lock,
  authentication: Authentication,
  connection: LockedConnection,
): boolean {
  const set = createLockSet([{ ...lock, until: undefined }])
  const match =
    set.findUser(authentication.user, 0) ?? set.findCredential(authentication, connection, 0)
  return match !== undefined
}
