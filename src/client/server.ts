import { ClientFailure } from './failure.ts'

/** A Gatehouse: where it is, and which CA vouches for it. */
export interface Server {
  /** Scheme, host and port, such as `https://gatehouse.example:8443`. */
  readonly origin: string
  /** PEM; empty for the CAs that this machine trusts. */
  readonly certificateAuthority: string
}

/**
 * The origin of a URL that a user or a kubeconfig names.
 *
 * @param what where the URL comes from, for the message
 * @throws ClientFailure unless it is an https URL; `https://` may be left out
 */
export function originOf(text: string, what: string): string {
  const named = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`
  const url = URL.canParse(named) ? new URL(named) : undefined
  if (url === undefined || url.hostname === '') {
    throw new ClientFailure('usage', `${what} is not a URL: ${JSON.stringify(text)}`)
  }
  if (url.protocol !== 'https:') {
    throw new ClientFailure(
      'untrusted',
      `${what} must begin with https://: ${JSON.stringify(text)}`,
    )
  }
  if (url.username !== '' || url.password !== '') {
    throw new ClientFailure('usage', `${what} must not contain a user name or password`)
  }
  return url.origin
}
