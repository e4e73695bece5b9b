import type { RateLimitState } from './limiter.ts'

/** Name, value pairs of draft-ietf-httpapi-ratelimit-headers-07: the form that tools read today. */
export function rateLimitHeaders({ limit, remaining, resetSeconds }: RateLimitState): string[] {
  return [
    'RateLimit-Limit',
    String(limit),
    'RateLimit-Remaining',
    String(remaining),
    'RateLimit-Reset',
    String(resetSeconds),
  ]
}
