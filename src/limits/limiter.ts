import type { UserInfo } from '../authentication/authenticator.ts'
import type { RequestClass } from '../request/types.ts'

/** The state of a bucket for the `RateLimit` response headers, in whole tokens and seconds. */
export interface RateLimitState {
  readonly limit: number
  readonly remaining: number
  readonly resetSeconds: number
}

/** Is held while a request or stream runs; `release` is idempotent. */
export interface Slot {
  readonly state: RateLimitState | undefined
  release(): void
}

/** Every method throws `StatusError` 429 with an integer `Retry-After`. */
export interface Limiter {
  /** Limits by client address, before the request is parsed. */
  admitAddress(address: string): void | Promise<void>
  /** Limits requests to Gatehouse's own endpoints by client address, beside the limit of the address. */
  admitSignIn(address: string): void | Promise<void>
  /**
   * Limits by user and class, after authentication, and by the user's groups; the slot counts concurrent requests and
   * streams.
   */
  admitUser(user: UserInfo, requestClass: RequestClass): Slot | Promise<Slot>
}
