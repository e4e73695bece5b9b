import type { RateLimitState } from './limiter.ts'

/**
 * Returns names and values, alternating, of draft-ietf-httpapi-ratelimit-headers-07, the version
 * that tools read today.
 */
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
