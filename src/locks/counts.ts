import { LOCK_TARGETS, type LockTarget } from './lock.ts'
import type { Locks, LockSource } from './locks.ts'

export interface LockCount {
  readonly source: LockSource
  readonly target: LockTarget
  readonly count: number
}

/** Counts the locks in force. Every source and target is there, with 0 if there are none. */
export function countLocks(locks: Pick<Locks, 'of' | 'now'>): readonly LockCount[] {
  return (['file', 'store'] as const).flatMap((source) => {
    const now = locks.now(source)
    const inForce = locks.of(source).filter(({ until = Infinity }) => now < until)
    return LOCK_TARGETS.map((target) => ({
      ...{ source, target },
      count: inForce.filter((lock) => lock.target === target).length,
    }))
  })
}
