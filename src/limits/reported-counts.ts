/**
 * How many running requests of this replica Redis knows of, by user. While scripts that write other numbers are
 * in progress, it is the lowest number that Redis may have. Replies come in the order in which the scripts
 * ran, since they share a connection.
 */
import { createLru } from '../lru.ts'

/** Takes the outcome of a script: exactly one of its functions is called, once. */
export interface Report {
  /** @param isWritten whether the script wrote the number, or left what was there */
  done(isWritten: boolean): void
  /** Nobody knows whether the script has run. */
  failed(): void
}

export interface ReportedCounts {
  /** Call it when a script is sent that may write `count` as the number of running requests. */
  begin(username: string, count: number): Report
  /** Redis knows of at least this many running requests. */
  least(username: string): number
  /** Call it when Redis may have lost everything. */
  clear(): void
}

interface Reported {
  confirmed: number
  /** Numbers that were sent and have no reply yet. */
  readonly pending: number[]
}

/** Creates the counts for at most `maxKeys` users. For any other user, `least` is 0. */
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
          // Scripts that were sent since may have run as well, or not; their numbers do not count either.
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
