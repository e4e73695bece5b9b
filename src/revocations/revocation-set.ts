/** The revocations that this replica knows. It only grows until they end: none can be taken back. */
import { appliesTo, covers, unnamedKey, type Revocation, type SignInKeys } from './revocation.ts'

export interface RevocationSet {
  /** The revocation of a sign-in whose credential was issued at this time; undefined if there is none. */
  find(keys: SignInKeys, issuedAt: number): Revocation | undefined
  /** The one of a key, whichever sign-ins it ends. */
  get(key: string): Revocation | undefined
  /** Adds revocations. Of two with the same key the one counts that ends more sign-ins, or does so for longer. */
  merge(added: readonly Revocation[]): void
  /** Those that have not ended. */
  all(): readonly Revocation[]
  readonly size: number
}

export interface RevocationSetEffects {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Called after sign-ins have ended that had not before: what runs must be checked again. */
  readonly onChanged: () => void
}

/** Creates an empty set. */
export function createRevocationSet({ now, onChanged }: RevocationSetEffects): RevocationSet {
  const byKey = new Map<string, Revocation>()

  function applying(key: string, issuedAt: number): Revocation | undefined {
    const found = byKey.get(key)
    return found !== undefined && appliesTo(found, issuedAt) ? found : undefined
  }

  function removeEnded(): void {
    const at = now()
    for (const [key, { until }] of byKey) if (until <= at) byKey.delete(key)
  }

  return {
    find({ subject, session }, issuedAt) {
      if (byKey.size === 0) return undefined
      return applying(session ?? unnamedKey(subject), issuedAt) ?? applying(subject, issuedAt)
    },
    get: (key) => byKey.get(key),
    merge(added) {
      const at = now()
      let isChanged = false
      for (const one of added) {
        const known = byKey.get(one.key)
        const isCovered = known !== undefined && covers(known, one)
        if (one.until <= at || (isCovered && !isLonger(one, known))) continue
        byKey.set(one.key, one)
        isChanged ||= !isCovered
      }
      if (isChanged) onChanged()
    },
    all() {
      removeEnded()
      return [...byKey.values()]
    },
    get size() {
      return byKey.size
    },
  }
}

/** Whether a revocation ends the same sign-ins as the known one, and is remembered longer. */
function isLonger(one: Revocation, known: Revocation): boolean {
  return one.before === known.before && one.until > known.until
}
