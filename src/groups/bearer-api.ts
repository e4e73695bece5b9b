/** What the APIs of cloud directories have in common: access tokens, throttling, pages. */
import { setTimeout as sleep } from 'node:timers/promises'

import {
  ThrottledError,
  UnknownUserError,
  type HttpResponse,
  type LookupLimits,
  type SendHttp,
} from './group-source.ts'

export interface BearerApiOptions {
  /** The API, for messages. */
  readonly name: string
  /** Gets an access token, and says how long it is valid, in seconds. */
  readonly requestToken: (signal: AbortSignal) => Promise<AccessToken>
}

export interface AccessToken {
  readonly token: string
  readonly expiresIn: number
}

export interface BearerApi {
  /**
   * Gets a JSON document. Waits and tries again where the API asks for it, within the limits.
   *
   * @throws UnknownUserError for 404, ThrottledError, or another Error
   */
  get(url: URL, headers: Readonly<Record<string, string>>, limits: LookupLimits): Promise<unknown>
}

/** A token is replaced before it expires, as it takes time on the way. */
const TOKEN_MARGIN_MS = 60_000
const MAX_TRIES = 4
const DEFAULT_RETRY_MS = 1_000
/** A longer pause is not believed: the source would be lost for good. */
const MAX_RETRY_MS = 600_000
const THROTTLED: ReadonlySet<number> = new Set([429, 503, 504])

/** Creates the client of one API; a token is requested with the first request. */
export function createBearerApi(
  { name, requestToken }: BearerApiOptions,
  { send, clock }: { readonly send: SendHttp; readonly clock: () => number },
): BearerApi {
  let current: { readonly token: string; readonly until: number } | undefined
  let requested: Promise<string> | undefined

  function token(signal: AbortSignal): Promise<string> {
    if (current !== undefined && clock() < current.until) return Promise.resolve(current.token)
    requested ??= requestToken(signal)
      .then(({ token: next, expiresIn }) => {
        current = { token: next, until: clock() + expiresIn * 1_000 - TOKEN_MARGIN_MS }
        return next
      })
      .finally(() => (requested = undefined))
    return requested
  }

  async function pause(response: HttpResponse, { signal, deadline }: LookupLimits): Promise<void> {
    const delay = retryAfter(response, clock())
    if (clock() + delay >= deadline) {
      throw new ThrottledError(`${name} throttles (HTTP ${response.status})`, delay)
    }
    await sleep(delay, undefined, { signal })
  }

  return {
    async get(url, headers, limits) {
      for (let tries = 1; ; tries++) {
        const authorization = `Bearer ${await token(limits.signal)}`
        const response = await send(
          url,
          { method: 'GET', headers: { ...headers, authorization } },
          limits.signal,
        )
        const { status, json } = response
        if (status === 200) return json
        if (status === 404) throw new UnknownUserError(`${name} does not have the user`)
        // Revoked, or the key was changed: a new one is requested once.
        if (status === 401 && tries === 1) current = undefined
        else if (THROTTLED.has(status) && tries < MAX_TRIES) await pause(response, limits)
        else throw new Error(`${name} responded with HTTP ${status}`)
      }
    },
  }
}

/** Retry-After (RFC 9110 section 10.2.3), seconds or a date, in milliseconds from now. */
function retryAfter({ headers }: HttpResponse, now: number): number {
  const value = headers['retry-after']
  if (typeof value !== 'string') return DEFAULT_RETRY_MS
  const delay = /^\d{1,6}$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - now
  return Number.isNaN(delay) ? DEFAULT_RETRY_MS : Math.min(Math.max(delay, 0), MAX_RETRY_MS)
}

/**
 * Reads the response of a token endpoint (RFC 6749 section 5). A refusal names only the error's code.
 *
 * @throws Error
 */
export function readToken(name: string, { status, json }: HttpResponse): AccessToken {
  const fields = (typeof json === 'object' && json !== null ? json : {}) as Readonly<
    Record<string, unknown>
  >
  const { access_token: token, expires_in: expiresIn, error } = fields
  if (status === 200 && typeof token === 'string' && /^[\x21-\x7e]+$/.test(token)) {
    return { token, expiresIn: typeof expiresIn === 'number' ? expiresIn : 300 }
  }
  const code = typeof error === 'string' && /^[a-z_]{1,40}$/.test(error) ? `, ${error}` : ''
  throw new Error(`${name} did not issue an access token to Gatehouse (HTTP ${status}${code})`)
}
