import { StatusError } from '../status.ts'

/** The refusal of a request that has no audit record, and cannot get one. */
export function unrecorded(options?: { readonly cause?: Error }): StatusError {
  return new StatusError(
    'ServiceUnavailable',
    'the audit log cannot be written, and no request is served without an audit record',
    options,
  )
}
