/** Durations as Kubernetes writes them (Go's `time.ParseDuration`), here of one or more whole parts. */
import { z } from 'zod'

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** The longest timer of Node.js; a longer one fires at once. */
const MAX_MS = 2 ** 31 - 1

/**
 * A schema whose output is milliseconds.
 *
 * @param shortest a duration
 */
export function duration(meaning: string, shortest = '0s') {
  return z
    .string()
    .regex(/^(?:\d{1,6}(?:ms|s|m|h))+$/, 'is not a duration')
    .refine((text) => milliseconds(text) <= MAX_MS, 'is longer than 596h')
    .refine((text) => milliseconds(text) >= milliseconds(shortest), `is shorter than ${shortest}`)
    .transform(milliseconds)
    .describe(`${meaning}; must be a duration such as "30s", "500ms" or "1h30m"`)
}

function milliseconds(text: string): number {
  let total = 0
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|s|m|h)/g)) {
    total += Number(count) * (UNITS_MS[unit ?? ''] ?? 0)
  }
  return total
}
