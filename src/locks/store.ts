/** The port of locks that are set while Gatehouse runs. */
import { StatusError } from '../status.ts'
import type { Lock, LockTarget } from './lock.ts'

/**
 * Called when all locks of all replicas are known, with nothing in between before they are changed. Throws to
 * leave them as they are: whoever changes them may be locked by now, perhaps by the very lock to be lifted.
 */
export type BeforeChange = () => void

export interface LockStore {
  /**
   * Sets a lock, in place of an earlier one with the same target. It is in effect on this replica when
   * the promise resolves.
   *
   * @throws StatusError 503 when it could not be stored, 429 when there are too many, and as `before`
   */
  set(lock: Lock, before: BeforeChange): Promise<void>
  /**
   * Lifts a lock.
   *
   * @returns false if there was none
   * @throws StatusError 503 when the store cannot be used, and as `before`
   */
  lift(target: LockTarget, name: string, before: BeforeChange): Promise<boolean>
  /** Why the locks were never read, so that nobody knows who is locked; undefined once they were. */
  readonly missing: string | undefined
  /** Why requests are refused although no lock is known that applies; undefined: they are not. */
  readonly unavailable: string | undefined
  /** Stops following the store. */
  close(): void
}

/** Locks of the store that have not ended. */
const MAX_LOCKS = 1_000
/** Of them, those of disabled accounts. A transmitter of security events leaves administrators room for theirs. */
const MAX_ACCOUNT_LOCKS = 800

/**
 * Refuses a lock beyond the most that there may be.
 *
 * @param others the locks that would be there besides it
 * @param count how many there are, if some of them cannot be read
 * @throws StatusError 429
 */
export function requireRoom(
  { target }: Lock,
  others: readonly Lock[],
  count: number = others.length,
): void {
  if (count >= MAX_LOCKS) {
    throw tooMany(`${MAX_LOCKS} locks`, 'lift some, or lock a group or a network instead')
  }
  if (target !== 'disabledAccount') return
  if (others.filter((other) => other.target === target).length < MAX_ACCOUNT_LOCKS) return
  throw tooMany(
    `${MAX_ACCOUNT_LOCKS} locks of disabled accounts`,
    'lift those of users who have left for good',
  )
}

function tooMany(what: string, fix: string): StatusError {
  return new StatusError('TooManyRequests', `there are ${what} already: ${fix}`)
}
