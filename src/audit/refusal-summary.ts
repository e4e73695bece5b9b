/**
 * An unauthenticated client beyond its limit can cause any number of refusals. An event for each would
 * let it push other users' events out of the audit log. So the first refusals of an address have events
 * of their own; the rest of a window is counted and reported in one event.
 */

export interface RefusalSummaryOptions {
  /** Milliseconds from the first refusal until the summary is written. */
  readonly window: number
  /** How many refusals of one address in a window have events of their own. */
  readonly fullEvents: number
  /** How many addresses are counted separately in a window; later ones share one summary. */
  readonly maxAddresses: number
}

/** What one event reports in place of many. */
export interface SuppressedRefusals {
  /** Undefined for all addresses beyond `maxAddresses` together. */
  readonly address: string | undefined
  /** How many events were not written. */
  readonly count: number
  /** How many refusals had each code, as text: `1200 with 429, 34 with 400`. */
  readonly codes: string
  /** Time of the first refusal of the address in this window, on the clock `now`. */
  readonly since: number
}

export interface RefusalSummaryEffects {
  /** Writes the event; false: it could not be written, and is written with the next window. */
  readonly write: (refusals: SuppressedRefusals) => boolean
  /** Monotonic milliseconds. */
  readonly now: () => number
}

export interface RefusalSummary {
  /**
   * Counts a refusal.
   *
   * @param key identifies the address; `address` is what the summary names
   * @param count how many refusals it stands for; 1 by default
   * @returns true when the refusal needs an event of its own, false when the summary includes it
   */
  add(key: string, address: string, code: number, count?: number): boolean
  /** Ends the window and writes its summary; false: a part of it could not be written. */
  end(): boolean
}

interface Refused {
  readonly address: string | undefined
  readonly since: number
  full: number
  readonly codes: Map<number, number>
}

/** The first window begins with the first refusal. */
export function createRefusalSummary(
  { window, fullEvents, maxAddresses }: RefusalSummaryOptions,
  { write, now }: RefusalSummaryEffects,
): RefusalSummary {
  const addresses = new Map<string, Refused>()
  let others: Refused | undefined
  let began = -Infinity

  const refusedOf = (key: string, address: string): Refused => {
    const known = addresses.get(key)
    if (known !== undefined) return known
    if (addresses.size >= maxAddresses) {
      return (others ??= { address: undefined, since: now(), full: fullEvents, codes: new Map() })
    }
    const refused = { address, since: now(), full: 0, codes: new Map() }
    addresses.set(key, refused)
    return refused
  }

  const end = (): boolean => {
    began = -Infinity
    for (const [key, refused] of addresses) {
      if (report(refused, write)) addresses.delete(key)
    }
    if (others !== undefined && report(others, write)) others = undefined
    return addresses.size === 0 && others === undefined
  }

  return {
    add(key, address, code, count = 1) {
      if (began === -Infinity) began = now()
      else if (now() - began >= window) {
        end()
        began = now()
      }
      const refused = refusedOf(key, address)
      if (refused.full < fullEvents) {
        refused.full += 1
        return true
      }
      refused.codes.set(code, (refused.codes.get(code) ?? 0) + count)
      return false
    },
    end,
  }
}

/** @returns whether everything has been reported */
function report(
  { address, since, codes }: Refused,
  write: (refusals: SuppressedRefusals) => boolean,
): boolean {
  if (codes.size === 0) return true
  const sorted = [...codes].sort(([, a], [, b]) => b - a)
  return write({
    address,
    since,
    count: sorted.reduce((sum, [, count]) => sum + count, 0),
    codes: sorted.map(([code, count]) => `${count} with ${code}`).join(', '),
  })
}
