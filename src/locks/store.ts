/** The port of locks that are set while Gatehouse runs. */
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
export const MAX_LOCKS = 1_000
