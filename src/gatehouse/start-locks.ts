import { createLocks, type Locks } from '../locks/locks.ts'
import { createMemoryLockStore } from '../locks/memory-store.ts'
import type { LockStore } from '../locks/store.ts'
import type { Log } from '../log.ts'
import type { LiveRequests } from '../pipeline/live-requests.ts'
import type { Loaded } from './load.ts'
import { startReloadable, type Reloadable } from './reloadable.ts'

export interface StartedLocks {
  readonly locks: Locks
  readonly lockStore: LockStore
  readonly reloadables: readonly Reloadable[]
}

export interface LocksEffects {
  readonly live: Pick<LiveRequests, 'endWhere'>
  readonly log: Log
}

/** Puts the lock file into effect, and creates the store of locks that are set by `gatehouse lock`. */
export function startLocks(
  { lockFile }: Pick<Loaded, 'lockFile'>,
  effects: LocksEffects,
): StartedLocks {
  const locks = createLocks({ onChanged: () => endLocked(locks, effects) })
  return {
    locks,
    lockStore: createMemoryLockStore({ locks }),
    reloadables:
      lockFile === undefined
        ? []
        : [startReloadable(lockFile, (next) => locks.replace('file', next.locks))],
  }
}

function endLocked(locks: Locks, { live, log }: LocksEffects): void {
  const ended = live.endWhere(({ authentication, connection, attributes }) =>
    attributes?.impersonator === undefined
      ? locks.refusalOf(authentication, connection)
      : locks.refusalOf(authentication, connection, attributes.user),
  )
  if (ended > 0) log.info({ streams: ended }, 'ended streams of locked users')
}
