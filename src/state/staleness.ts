/** Whether a replica knows a collection in Redis of which it keeps a copy: what it has not read may be missing. */
import type { SharedStore } from './shared-store.ts'

export interface StalenessOptions {
  /** How long the copy counts as current without Redis, in milliseconds. */
  readonly maxStaleness: number
  /** What happens after that. */
  readonly onStale: 'keep' | 'refuse'
}

/** What is said about the collection. */
export interface StalenessTexts {
  /** For administrators, before it was read. */
  readonly notRead: string
  /** For administrators: some of its records cannot be read. */
  readonly unreadable: string
  /** For users, before it was known. */
  readonly unknown: string
  /** For users: the copy is too old. */
  readonly stale: string
}

export interface StalenessEffects {
  readonly store: Pick<SharedStore, 'problem'>
  /** Milliseconds, monotonic. */
  readonly elapsed: () => number
}

export interface Staleness {
  /** Whether the whole collection was ever known. */
  readonly isKnown: boolean
  /** Records that could not be read. */
  readonly unreadable: number
  /** Seconds since the whole collection was known or, if it never was, since the start. */
  readonly age: number
  /** Why the collection was never known; undefined once it was. */
  readonly missing: string | undefined
  /** Why nobody may rely on the copy; undefined: everybody may. */
  readonly unavailable: string | undefined
  /**
   * The copy is what is in Redis now.
   *
   * @param unreadable records of it that cannot be read
   */
  wasRead(unreadable: number): void
}

/** Creates it for a copy that is still empty. */
export function createStaleness(
  { maxStaleness, onStale }: StalenessOptions,
  texts: StalenessTexts,
  { store, elapsed }: StalenessEffects,
): Staleness {
  const startedAt = elapsed()
  /** Undefined: never. */
  let knownAt: number | undefined
  let unreadable = 0

  return {
    get isKnown() {
      return knownAt !== undefined
    },
    get unreadable() {
      return unreadable
    },
    get age() {
      return (elapsed() - (knownAt ?? startedAt)) / 1_000
    },
    get missing() {
      if (knownAt !== undefined) return undefined
      return store.problem ?? (unreadable > 0 ? texts.unreadable : texts.notRead)
    },
    get unavailable() {
      if (knownAt === undefined) return texts.unknown
      return onStale === 'refuse' && elapsed() - knownAt > maxStaleness ? texts.stale : undefined
    },
    wasRead(count) {
      unreadable = count
      if (count === 0) knownAt = elapsed()
    },
  }
}
