import type { UserInfo } from '../authentication/authenticator.ts'
import type { RequestClass } from '../request/types.ts'

/** What a limiter says of its bucket, for the `RateLimit` response headers. Whole tokens and seconds. */
export interface RateLimitState {
  readonly limit: number
  readonly remaining: number
  readonly resetSeconds: number
}

/** Held while a request or stream runs; `release` is idempotent. */
export interface Slot {
  readonly state: RateLimitState | undefined
  release(): void
}

/** Both throw `StatusError` 429 with an integer `Retry-After`. */
export interface Limiter {
  /** By client address, before anything of the request is looked at. */
  admitAddress(address: string): void | Promise<void>
  /** By user and class, after authentication; the slot counts concurrent requests and streams. */
  admitUser(user: UserInfo, requestClass: RequestClass): Slot | Promise<Slot>
}
