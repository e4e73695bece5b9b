import { createAttempts, type AttemptsOptions } from './attempts.ts'

export interface UserAttemptsOptions extends Omit<AttemptsOptions, 'max'> {
  /** Failed attempts of one user, from all addresses. */
  readonly perUser: number
  /** Failed attempts of one user from one address. */
  readonly perUserAndAddress: number
}

export interface UserAttempts {
  /**
   * Counts an attempt, before its result is known.
   *
   * @param now milliseconds of a monotonic clock
   * @returns what takes it back; undefined when there are too many, and it does not count
   */
  begin(user: string, address: string, now: number): (() => void) | undefined
}

/**
 * Counts attempts of users. Those from one address are limited first, so that one address alone does not use
 * up all attempts of a user whom others know by name.
 */
export function createUserAttempts(options: UserAttemptsOptions): UserAttempts {
  const { perUser, perUserAndAddress, window, maxKeys } = options
  const users = createAttempts({ max: perUser, window, maxKeys })
  const pairs = createAttempts({ max: perUserAndAddress, window, maxKeys })
  return {
    begin(user, address, now) {
      const ofPair = pairs.begin(`${address}\n${user}`, now)
      if (ofPair === undefined) return undefined
      const ofUser = users.begin(user, now)
      if (ofUser === undefined) {
        ofPair()
        return undefined
      }
      return () => {
        ofPair()
        ofUser()
      }
    },
  }
}
