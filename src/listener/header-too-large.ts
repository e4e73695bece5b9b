import { StatusError } from '../status.ts'

/** Creates the refusal of a request whose target and header fields exceed the limits (RFC 6585 section 5). */
export function headerTooLarge(): StatusError {
  return new StatusError(
    'RequestHeaderFieldsTooLarge',
    'the request header is too large: send a shorter URL, fewer header fields, or a token with fewer groups',
    { closeConnection: true },
  )
}
