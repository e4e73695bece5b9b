import { unusableResponse, type UpstreamError } from '../errors.ts'

/** The 502 for a response that is not valid HTTP/1.1; `problem` is for the log only. */
export function invalidResponse(problem: string): UpstreamError {
  return unusableResponse(
    "the API server's response is not valid HTTP",
    new Error(`invalid HTTP/1.1 response: ${problem}`),
  )
}
