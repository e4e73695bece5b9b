/**
 * Events of unauthenticated clients beyond their budget: each minute, one event per address says how many
 * there were. What such an event takes is spent from the budget too; without enough, it waits, and only the
 * one for all addresses that cannot be listed is written in any case.
 */
import { createRefusalSummary, type SuppressedRefusals } from './refusal-summary.ts'
import {
  createUnauthenticatedBudget,
  type UnauthenticatedBudgetOptions,
} from './unauthenticated-budget.ts'

const WINDOW_MS = 60_000
const MAX_ADDRESSES = 100
/** An event that reports others is shorter. */
const SUMMARY_BYTES = 1_024

export interface UnauthenticatedEventsOptions extends UnauthenticatedBudgetOptions {
  /** Clients with the same key share their part of the budget. */
  readonly addressKey: (address: string) => string
}

export interface UnauthenticatedEventsEffects {
  /** Writes the event; false: it could not be written. */
  readonly write: (refusals: SuppressedRefusals) => boolean
  /** Monotonic milliseconds. */
  readonly now: () => number
}

export interface UnauthenticatedEvents {
  /**
   * Spends the bytes of an event.
   *
   * @param count how many refusals the event stands for
   * @returns false when it is beyond the budget: it is counted, and must not be written
   */
  admit(address: string, bytes: number, code: number, count: number): boolean
  /** Writes what was counted, whatever is left of the budget. */
  close(): void
}

/** Its timer runs only while something is counted. */
export function createUnauthenticatedEvents(
  options: UnauthenticatedEventsOptions,
  { write, now }: UnauthenticatedEventsEffects,
): UnauthenticatedEvents {
  const { addressKey } = options
  const budget = createUnauthenticatedBudget(options)
  let timer: NodeJS.Timeout | undefined
  let isClosing = false

  const mayWrite = (refusals: SuppressedRefusals): boolean =>
    isClosing || refusals.address === undefined || budget.spend(undefined, SUMMARY_BYTES, now())
  const summary = createRefusalSummary(
    // Nothing has an event of its own beyond the budget.
    { window: Infinity, fullEvents: 0, maxAddresses: MAX_ADDRESSES },
    { write: (refusals) => mayWrite(refusals) && write(refusals), now },
  )
  const end = (): void => {
    timer = undefined
    if (summary.end() || isClosing) return
    timer = setTimeout(end, WINDOW_MS).unref()
  }

  return {
    admit(address, bytes, code, count) {
      const key = addressKey(address)
      if (budget.spend(key, bytes, now())) return true
      summary.add(key, address, code, count)
      timer ??= setTimeout(end, WINDOW_MS).unref()
      return false
    },
    close() {
      isClosing = true
      clearTimeout(timer)
      end()
    },
  }
}
