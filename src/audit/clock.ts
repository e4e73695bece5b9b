/** Wall-clock time in microseconds, derived from the monotonic clock that measures latencies. */

/** A smaller difference is the resolution of `Date.now()`, not a step of the wall clock. */
const STEP_MICROSECONDS = 50_000
const CHECK_INTERVAL_MS = 1_000

export interface WallClock {
  /** @returns microseconds since the epoch at a time of `performance.now()` */
  microsecondsAt(monotonic: number): number
}

/**
 * @param origin milliseconds since the epoch at which the monotonic clock read 0
 * @param wallClock the current milliseconds since the epoch; a step by an administrator or NTP is
 * followed within a second. Undefined: the origin never changes
 */
export function createWallClock(origin: number, wallClock?: () => number): WallClock {
  let offset = origin * 1_000
  let checkedAt = -Infinity
  return {
    microsecondsAt(monotonic) {
      if (wallClock !== undefined && Math.abs(monotonic - checkedAt) >= CHECK_INTERVAL_MS) {
        checkedAt = monotonic
        const stepped = (wallClock() - performance.now()) * 1_000
        if (Math.abs(stepped - offset) > STEP_MICROSECONDS) offset = stepped
      }
      return Math.floor(offset + monotonic * 1_000)
    },
  }
}

/** `000` to `999`: a table is several times cheaper than `padStart`. */
const THREE_DIGITS = Array.from({ length: 1_000 }, (_, value) => String(value).padStart(3, '0'))

let formattedSecond = NaN
let formattedPrefix = ''

/** apimachinery's `metav1.MicroTime`: RFC 3339 in UTC, always with six decimals. */
export function formatMicroTime(microseconds: number): string {
  const second = Math.floor(microseconds / 1_000_000)
  if (second !== formattedSecond) {
    formattedPrefix = new Date(second * 1_000).toISOString().slice(0, 20)
    formattedSecond = second
  }
  const rest = microseconds - second * 1_000_000
  return `${formattedPrefix}${digits(Math.floor(rest / 1_000))}${digits(rest % 1_000)}Z`
}

/** Most stages take less than 4 ms, so their texts are cached, by microseconds. */
const shortDurations: string[] = Array.from({ length: 4_096 }, () => '')

/** Milliseconds with three decimals, which Go's `time.ParseDuration` accepts: `12.345ms`. */
export function formatDuration(milliseconds: number): string {
  const microseconds = Math.max(0, Math.round(milliseconds * 1_000))
  const known = shortDurations[microseconds]
  if (known !== undefined && known !== '') return known
  const text = `${Math.floor(microseconds / 1_000)}.${digits(microseconds % 1_000)}ms`
  if (known !== undefined) shortDurations[microseconds] = text
  return text
}

function digits(value: number): string {
  return THREE_DIGITS[value] ?? '000'
}
