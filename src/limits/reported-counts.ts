/**
 * What Redis knows of what runs in this replica, by user. While scripts run that write another number, it is
 * the lowest that Redis may have. Scripts run in the order in which they are answered: they share a connection.
 */
import { createLru } from '../lru.ts'

/** What became of a script; one of them is called, once. */
export interface Report {
  /** @param isWritten whether the script wrote the number, or left what was there */
  done(isWritten: boolean): void
  /** Nobody knows whether the script has run. */
  failed(): void
}

export interface ReportedCounts {
  /** A script is sent that may write that `count` run. */
  begin(username: string, count: number): Report
  /** Redis knows of at least as many. */
  least(username: string): number
  /** Redis may have lost everything. */
  clear(): void
}

interface Reported {
  confirmed: number
  /** Sent, without an answer. */
  readonly pending: number[]
}

/** Creates it for at most `maxKeys` users; of others, Redis counts as knowing nothing. */
export function createReportedCounts(maxKeys: number): ReportedCounts {
  const all = createLru<Reported>(maxKeys)

  return {
    begin(username, count) {
      const reported = all.get(username) ?? { confirmed: 0, pending: [] }
      all.set(username, reported)
      const { pending } = reported
      pending.push(count)
      return {
        done(isWritten) {
          pending.splice(pending.indexOf(count), 1)
          if (isWritten) reported.confirmed = count
        },
        failed() {
          // Others may have been sent since, and may have run; they do not count either.
          if (all.get(username) === reported) all.delete(username)
        },
      }
    },
    least(username) {
      const reported = all.get(username)
      return reported === undefined ? 0 : Math.min(reported.confirmed, ...reported.pending)
    },
    clear() {
      all.clear()
    },
  }
}
