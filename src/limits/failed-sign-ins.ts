/** Counts failed sign-ins, and decides how long an address has to wait for the refusal of the next one. */
import { createLru } from '../lru.ts'

/** `limits.failedSignIns` of the configuration; durations in milliseconds. */
export interface FailedSignInsOptions {
  /** Failures of one claimed user from one address before refusals are delayed. */
  readonly perUser: number
  /** Failures of one address before all its refusals are delayed. */
  readonly perAddress: number
  /** Failures of one address before it is banned. */
  readonly banAfter: number
  /** How long failures are counted from the first one. */
  readonly window: number
  readonly maxDelay: number
  /** The first ban; each later one is twice as long as the one before. */
  readonly ban: number
  readonly maxBan: number
  /** Addresses that are tracked. */
  readonly maxTrackedKeys: number
}

/** What a failed sign-in costs; durations in milliseconds. */
export interface FailureVerdict {
  /** How long to wait before the refusal is sent; zero at first. */
  readonly delay: number
  /** How much longer the address is banned; zero if it is not. */
  readonly bannedFor: number
  /** Whether this failure has caused the ban: how many there were. Undefined otherwise. */
  readonly bannedAfter: number | undefined
}

export interface FailedSignIns {
  /**
   * Counts a failure.
   *
   * @param address key of the address
   * @param user digest of the user whom the credential claims to be of; undefined if it names nobody.
   * Counted for this address alone, so that nobody can lock another user out
   */
  add(address: string, user: string | undefined): FailureVerdict | Promise<FailureVerdict>
}

/** The count of one replica decides at once. */
export interface LocalFailedSignIns extends FailedSignIns {
  add(address: string, user: string | undefined): FailureVerdict
}

export interface FailedSignInsEffects {
  /** Milliseconds, monotonic. */
  readonly now: () => number
}

/** Names of one address that are counted each; clients choose them freely. */
export const MAX_USERS = 16
const FIRST_DELAY_MS = 100

interface Counts {
  since: number
  failures: number
  readonly users: Map<string, number>
  bans: number
  bannedUntil: number
}

/**
 * The delay of a refusal.
 *
 * @param failures of the address
 * @param ofUser those of the claimed user among them
 */
export function delayOf(
  {
    perUser,
    perAddress,
    maxDelay,
  }: Pick<FailedSignInsOptions, 'perUser' | 'perAddress' | 'maxDelay'>,
  failures: number,
  ofUser: number,
): number {
  const over = Math.max(ofUser - perUser, failures - perAddress)
  return over <= 0 ? 0 : Math.min(maxDelay, FIRST_DELAY_MS * 2 ** (over - 1))
}

/** Creates the count of one replica. */
export function createFailedSignIns(
  options: FailedSignInsOptions,
  { now }: FailedSignInsEffects,
): LocalFailedSignIns {
  const { banAfter, window, ban, maxBan } = options
  const addresses = createLru<Counts>(options.maxTrackedKeys)

  function countsOf(address: string, at: number): Counts {
    let counts = addresses.get(address)
    if (counts === undefined) {
      counts = { since: at, failures: 0, users: new Map(), bans: 0, bannedUntil: -Infinity }
      addresses.set(address, counts)
    }
    if (at - counts.since >= window) restart(counts, at)
    // Bans are remembered as long as the longest one.
    if (at - counts.bannedUntil >= maxBan) counts.bans = 0
    return counts
  }

  function restart(counts: Counts, at: number): void {
    counts.since = at
    counts.failures = 0
    counts.users.clear()
  }

  /** How many failures of this user there were; zero beyond the names that are counted. */
  function countUser({ users }: Counts, user: string | undefined): number {
    if (user === undefined) return 0
    const earlier = users.get(user)
    if (earlier === undefined && users.size >= MAX_USERS) return 0
    const failures = (earlier ?? 0) + 1
    users.set(user, failures)
    return failures
  }

  return {
    add(address, user) {
      const at = now()
      const counts = countsOf(address, at)
      if (at < counts.bannedUntil) {
        return { delay: 0, bannedFor: counts.bannedUntil - at, bannedAfter: undefined }
      }
      counts.failures += 1
      const ofUser = countUser(counts, user)
      const { failures } = counts
      if (failures >= banAfter) {
        const bannedFor = Math.min(maxBan, ban * 2 ** counts.bans)
        counts.bans += 1
        counts.bannedUntil = at + bannedFor
        restart(counts, at)
        return { delay: 0, bannedFor, bannedAfter: failures }
      }
      const delay = delayOf(options, failures, ofUser)
      return { delay, bannedFor: 0, bannedAfter: undefined }
    },
  }
}
