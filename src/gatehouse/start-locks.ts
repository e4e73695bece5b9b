import type { Configuration } from '../config/schema.ts'
import { countLocks } from '../locks/counts.ts'
import { createLocks, type Locks } from '../locks/locks.ts'
import { createMemoryLockStore } from '../locks/memory-store.ts'
import { createRedisLockStore } from '../locks/redis-store.ts'
import type { LockStore } from '../locks/store.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { LiveRequests } from '../pipeline/live-requests.ts'
import type { SharedStore } from '../state/shared-store.ts'
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
  readonly metrics: Pick<Metrics, 'locks' | 'locksAge'>
  /** Undefined without Redis. */
  readonly store: SharedStore | undefined
}

/** Puts the lock file into effect, and creates the store of locks that are set by `gatehouse lock`. */
export function startLocks(
  { lockFile, configuration }: Pick<Loaded, 'lockFile' | 'configuration'>,
  effects: LocksEffects,
): StartedLocks {
  const { store } = effects
  let clockOffset = 0
  const locks: Locks = createLocks({
    storeOffset: () => clockOffset,
    onChanged: () => endLocked(locks, effects),
    unavailable: () => lockStore.unavailable,
  })
  const lockStore =
    store === undefined
      ? createMemoryLockStore({ locks })
      : createRedisLockStore(
          {
            ...configuration.locks,
            isRequired: canLock(configuration),
          },
          { ...effects, store, locks, onClock: (offset) => (clockOffset = offset) },
        )
  effects.metrics.locks.sampleFrom(() =>
    countLocks(locks).map(({ count, ...labels }) => ({ labels, value: count })),
  )
  return {
    locks,
    lockStore,
    reloadables:
      lockFile === undefined
        ? []
        : [startReloadable(lockFile, (next) => locks.replace('file', next.locks))],
  }
}

/** Whether anybody can set locks while Gatehouse runs: administrators, or transmitters of security events. */
function canLock({ locks: { administrators }, authentication }: Configuration): boolean {
  const { transmitters } = authentication.securityEvents
  return administrators.users.length + administrators.groups.length + transmitters.length > 0
}

function endLocked(locks: Locks, { live, log }: LocksEffects): void {
  const ended = live.endWhere(({ authentication, connection, attributes }) =>
    attributes?.impersonator === undefined
      ? locks.lockOf(authentication, connection)
      : locks.lockOf(authentication, connection, attributes.user),
  )
  if (ended > 0) log.info({ streams: ended }, 'ended streams of locked users')
}
