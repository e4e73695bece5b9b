/** Locks of one replica, which are lost when it ends. */
import type { Lock } from './lock.ts'
import type { Locks } from './locks.ts'
import { requireRoom, type LockStore } from './store.ts'

export interface MemoryLockStoreEffects {
  readonly locks: Pick<Locks, 'of' | 'replace' | 'now'>
}

/** Creates it; its locks are those of the source `store`. */
export function createMemoryLockStore({ locks }: MemoryLockStoreEffects): LockStore {
  const others = (target: string, name: string): readonly Lock[] =>
    locks.of('store').filter((lock) => lock.target !== target || lock.name !== name)

  return {
    async set(lock, before) {
      before()
      const now = locks.now('store')
      const kept = others(lock.target, lock.name).filter(({ until = Infinity }) => now < until)
      requireRoom(lock, kept)
      locks.replace('store', [...kept, lock])
    },
    async lift(target, name, before) {
      before()
      const kept = others(target, name)
      if (kept.length === locks.of('store').length) return false
      locks.replace('store', kept)
      return true
    },
    missing: undefined,
    unavailable: undefined,
    close: () => undefined,
  }
}
