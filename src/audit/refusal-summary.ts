/**
 * What a stranger beyond his limit asks for is refused as often as he likes. An event for each would
 * let him rotate the history of everybody else away: so the first ones of an address are events of
 * their own, and the rest of a window is counted and told in one.
 */

export interface RefusalSummaryOptions {
  /** Milliseconds from the first refusal until what was counted is written. */
  readonly window: number
  /** Refusals of one address in a window that are to be events of their own. */
  readonly fullEvents: number
  /** Addresses told apart in a window; those that come later are summed up as one. */
  readonly maxAddresses: number
}

/** What one event says instead of many. */
export interface SuppressedRefusals {
  /** Undefined: of all addresses beyond `maxAddresses` together. */
  readonly address: string | undefined
  /** Events that were not written. */
  readonly count: number
  /** How many were answered with each code, as text: `1200 with 429, 34 with 400`. */
  readonly codes: string
  /** When the window began, on the clock that was given. */
  readonly since: number
}

export interface RefusalSummaryEffects {
  /** Writes the event; false: it could not be taken, and is to be tried again with the next window. */
  readonly write: (refusals: SuppressedRefusals) => boolean
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number
}

export interface RefusalSummary {
  /**
   * Counts a refusal. True: it is to be an event of its own; false: it will be in the summary.
   *
   * @param key what counts as one address; `address` is what the summary names
   */
  add(key: string, address: string, code: number): boolean
  /** Ends the window: writes what was counted. */
  end(): void
}

interface Refused {
  readonly address: string | undefined
  readonly since: number
  full: number
  readonly codes: Map<number, number>
}

/** Makes a summary whose first window begins with the first refusal. */
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

  const end = (): void => {
    began = -Infinity
    for (const [key, refused] of addresses) {
      if (tell(refused, write)) addresses.delete(key)
    }
    if (others !== undefined && tell(others, write)) others = undefined
  }

  return {
    add(key, address, code) {
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
      refused.codes.set(code, (refused.codes.get(code) ?? 0) + 1)
      return false
    },
    end,
  }
}

/** True: nothing of it is left to be told. */
function tell(
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
