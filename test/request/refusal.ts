import { StatusError } from '../../src/status.ts'

/** The refusal that `action` ends in; anything else it throws is passed on. */
export function refusal(action: () => unknown): StatusError {
  try {
    action()
  } catch (error) {
    if (error instanceof StatusError) return error
    throw error
  }
  throw new Error('it was not refused')
}
