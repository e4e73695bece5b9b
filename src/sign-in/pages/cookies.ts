/**
 * The cookies of the pages. The prefix `__Host-` (RFC 6265bis section 4.1.3.2) keeps other hosts, and plain
 * HTTP, from setting them.
 */
import type { RawHeaders } from '../../http/exchange.ts'

/** A sign-in that has begun, in this browser. */
export const SIGN_IN_COOKIE = '__Host-gatehouse-sign-in'
/** A user who has signed in. */
export const SESSION_COOKIE = '__Host-gatehouse-session'

/**
 * The value of a cookie; undefined when there is none or more than one. HTTP/2 clients may send each
 * cookie in a field of its own (RFC 9113 section 8.2.3).
 */
export function readCookie(rawHeaders: RawHeaders, name: string): string | undefined {
  const values = rawHeaders.flatMap((field, i) =>
    i % 2 === 0 && field.toLowerCase() === 'cookie'
      ? (rawHeaders[i + 1] ?? '').split(';').flatMap((pair) => {
          const at = pair.indexOf('=')
          return pair.slice(0, at).trim() === name ? [pair.slice(at + 1).trim()] : []
        })
      : [],
  )
  return values.length === 1 ? values[0] : undefined
}

/**
 * A `Set-Cookie` field. SameSite is Lax for both: the browser comes back from the issuer, which is another
 * site. What changes something is a POST, with which a Lax cookie is not sent from another site.
 *
 * @param maxAge in seconds
 */
export function setCookie(name: string, value: string, maxAge: number): readonly string[] {
  const attributes = `Path=/; Max-Age=${maxAge}; Secure; HttpOnly; SameSite=Lax`
  return ['Set-Cookie', `${name}=${value}; ${attributes}`]
}

/** Makes the browser forget a cookie. */
export function clearCookie(name: string): readonly string[] {
  return setCookie(name, '', 0)
}
