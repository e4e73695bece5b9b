/** The port of where revocations are kept. */
import { retryAfter, StatusError } from '../status.ts'
import type { Revocation } from './revocation.ts'

export interface Addition {
  readonly revocations: readonly Revocation[]
  /** Nothing is added if this one is there already: the message that it stands for has been received. */
  readonly once?: Revocation | undefined
}

export interface RevocationStore {
  /**
   * Adds revocations. They are in effect on this replica when the promise settles, and soon on the others.
   *
   * @returns false if `once` was there already
   * @throws StatusError 503 when they may not be kept: too many are, or Redis cannot be used. Nothing is
   * known of `once` then, so that the sender may try again
   */
  add(addition: Addition): Promise<boolean>
  /** Why they were never read, so that nobody knows what has ended; undefined once they were. */
  readonly missing: string | undefined
  /** Why requests are refused although no revocation is known that applies; undefined: they are not. */
  readonly unavailable: string | undefined
  /** Stops following the store. */
  close(): void
}

/** For a sender that is to try again. */
export function notKept(problem: string, cause?: unknown): StatusError {
  return new StatusError('ServiceUnavailable', `the event could not be kept: ${problem}`, {
    ...(cause === undefined ? {} : { cause }),
    ...retryAfter(RETRY_SECONDS),
  })
}

const RETRY_SECONDS = 5

export function tooMany(max: number): StatusError {
  return notKept(`${max} revocations are kept already`)
}
