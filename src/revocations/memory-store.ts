/** Revocations of one replica, which are lost when it ends. */
import type { RevocationSet } from './revocation-set.ts'
import { tooMany, type RevocationStore } from './store.ts'

export interface MemoryRevocationStoreOptions {
  /** Revocations that are kept. */
  readonly maxEntries: number
}

export interface MemoryRevocationStoreEffects {
  readonly set: RevocationSet
  /** Called with how many are kept. */
  readonly onSize: (size: number) => void
}

/** How often those that have ended are removed. */
const SWEEP_MS = 60_000

export function createMemoryRevocationStore(
  { maxEntries }: MemoryRevocationStoreOptions,
  { set, onSize }: MemoryRevocationStoreEffects,
): RevocationStore {
  const sweep = (): void => onSize(set.all().length)
  const timer = setInterval(sweep, SWEEP_MS).unref()

  return {
    async add({ revocations, once }) {
      if (once !== undefined && set.get(once.key) !== undefined) return false
      const added = once === undefined ? revocations : [...revocations, once]
      const room = maxEntries - set.size
      if (added.length > room && added.length > maxEntries - set.all().length) {
        throw tooMany(maxEntries)
      }
      set.merge(added)
      onSize(set.size)
      return true
    },
    missing: undefined,
    unavailable: undefined,
    close: () => clearInterval(timer),
  }
}
