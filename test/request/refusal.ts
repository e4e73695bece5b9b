import { StatusError } from '../../src/status.ts'

/** Returns the `StatusError` that `action` throws; rethrows anything else. */
export function refusal(action: () => unknown): StatusError {
  try {
    action()
  } catch (error) {
    if (error instanceof StatusError) return error
    throw error
  }
  throw new Error('it was not refused')
}
