/** Points in time (cel-go common/types/timestamp.go). */
import { CelValueError } from '../error.ts'
import type { Declaration, Library } from '../library.ts'
import { Timestamp, type Duration } from '../values.ts'
import { durationOf } from './durations.ts'

/** The first and the last second of the years 1 to 9999. */
const MIN_SECONDS = -62_135_596_800n
const MAX_SECONDS = 253_402_300_799n
const NANOSECONDS = 1_000_000_000n

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))$/

/** @throws CelValueError for a time outside of the years 1 to 9999 */
export function timestampOf(nanoseconds: bigint, offsetMinutes: number): Timestamp {
  if (nanoseconds < MIN_SECONDS * NANOSECONDS || nanoseconds >= (MAX_SECONDS + 1n) * NANOSECONDS) {
    throw new CelValueError('timestamp overflow')
  }
  return new Timestamp(nanoseconds, offsetMinutes)
}

/**
 * Reads a time of RFC 3339, as Go does.
 *
 * @throws CelValueError for text in another form, or a day that does not exist
 */
export function parseTimestamp(text: string): Timestamp {
  const match = RFC_3339.exec(text)
  if (match === null) throw invalid()
  const [, fraction = '', sign, hours = '0', minutes = '0'] = match
  const date = new Date(`${text.slice(0, 19)}Z`)
  // A day that does not exist becomes one of the next month.
  const isReal = !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text.slice(0, 19))
  if (!isReal || Number(hours) > 24 || Number(minutes) > 60) throw invalid()
  const offset = (Number(hours) * 60 + Number(minutes)) * (sign === '-' ? -1 : 1)
  const milliseconds = BigInt(date.getTime() - offset * 60_000)
  const nanoseconds = BigInt(fraction.slice(0, 9).padEnd(9, '0'))
  return timestampOf(milliseconds * 1_000_000n + nanoseconds, offset)
}

function invalid(): CelValueError {
  return new CelValueError("type conversion error from 'string' to 'timestamp'")
}

/** In the time zone that the time was written in. */
export function formatTimestamp({ nanoseconds, offsetMinutes }: Timestamp): string {
  const { date, fraction } = split(nanoseconds, offsetMinutes * 60_000)
  const digits = fraction === 0n ? '' : `.${String(fraction).padStart(9, '0').replace(/0+$/, '')}`
  const size = Math.abs(offsetMinutes)
  const two = (value: number): string => String(Math.trunc(value)).padStart(2, '0')
  const zone =
    offsetMinutes === 0
      ? 'Z'
      : `${offsetMinutes < 0 ? '-' : '+'}${two(size / 60)}:${two(size % 60)}`
  return `${date.toISOString().slice(0, 19)}${digits}${zone}`
}

/** A date whose UTC fields are those of the time zone, and the nanoseconds of the second. */
function split(nanoseconds: bigint, zoneMs: number): { date: Date; fraction: bigint } {
  const fraction = ((nanoseconds % NANOSECONDS) + NANOSECONDS) % NANOSECONDS
  const seconds = (nanoseconds - fraction) / NANOSECONDS
  return { date: new Date(Number(seconds) * 1000 + zoneMs), fraction }
}

type Getter = (date: Date, fraction: bigint) => number

const TIMESTAMP = 'google.protobuf.Timestamp'

/** Reads a field of a time in UTC, or in the time zone that is the second argument. */
function field(get: Getter): readonly Declaration[] {
  const read = ({ nanoseconds }: Timestamp, zoneMs: number): bigint => {
    const { date, fraction } = split(nanoseconds, zoneMs)
    return BigInt(get(date, fraction))
  }
  return [
    [`.${TIMESTAMP} -> int`, (_meter, time: Timestamp) => read(time, 0)],
    [
      `.${TIMESTAMP}, string -> int`,
      (_meter, time: Timestamp, zone: string) => read(time, zoneOffset(time, zone)),
    ],
  ]
}

const FIXED_ZONE = /^([+-]?)(\d\d?):(\d\d?)$/

/** Milliseconds by which a time zone is ahead of UTC; it is a name, or such as `-07:30`. */
function zoneOffset(time: Timestamp, zone: string): number {
  const [fixed, sign, hours, minutes] = FIXED_ZONE.exec(zone) ?? []
  if (fixed !== undefined) {
    return (Number(hours) * 60 + Number(minutes)) * 60_000 * (sign === '-' ? -1 : 1)
  }
  if (zone === '' || zone === 'UTC') return 0
  const { date } = split(time.nanoseconds, 0)
  try {
    const parts = new Intl.DateTimeFormat('en-US', {
      ...{ timeZone: zone, hourCycle: 'h23', era: 'short' },
      ...{ year: 'numeric', month: 'numeric', day: 'numeric' },
      ...{ hour: 'numeric', minute: 'numeric', second: 'numeric' },
    }).formatToParts(date)
    const value = (type: string): number =>
      Number(parts.find((part) => part.type === type)?.value ?? NaN)
    const local = new Date(0)
    local.setUTCFullYear(value('year'), value('month') - 1, value('day'))
    local.setUTCHours(value('hour'), value('minute'), value('second'))
    return local.getTime() - date.getTime()
  } catch {
    throw new CelValueError(`unknown time zone ${JSON.stringify(zone.slice(0, 50))}`)
  }
}

function dayOfYear(date: Date): number {
  const first = new Date(0)
  first.setUTCFullYear(date.getUTCFullYear(), 0, 1)
  return Math.floor((date.getTime() - first.getTime()) / 86_400_000)
}

const DURATION = 'google.protobuf.Duration'

export const timestamps: Library = {
  '_+_': [
    [
      `${DURATION}, ${TIMESTAMP} -> ${TIMESTAMP}`,
      (_meter, a: Duration, b: Timestamp) => shifted(b, a.nanoseconds),
    ],
    [
      `${TIMESTAMP}, ${DURATION} -> ${TIMESTAMP}`,
      (_meter, a: Timestamp, b: Duration) => shifted(a, b.nanoseconds),
    ],
  ],
  '_-_': [
    [
      `${TIMESTAMP}, ${DURATION} -> ${TIMESTAMP}`,
      (_meter, a: Timestamp, b: Duration) => shifted(a, -b.nanoseconds),
    ],
    [
      `${TIMESTAMP}, ${TIMESTAMP} -> ${DURATION}`,
      (_meter, a: Timestamp, b: Timestamp) => durationOf(a.nanoseconds - b.nanoseconds),
    ],
  ],
  getFullYear: field((date) => date.getUTCFullYear()),
  getMonth: field((date) => date.getUTCMonth()),
  getDate: field((date) => date.getUTCDate()),
  getDayOfMonth: field((date) => date.getUTCDate() - 1),
  getDayOfWeek: field((date) => date.getUTCDay()),
  getDayOfYear: field(dayOfYear),
  getHours: field((date) => date.getUTCHours()),
  getMinutes: field((date) => date.getUTCMinutes()),
  getSeconds: field((date) => date.getUTCSeconds()),
  getMilliseconds: field((_date, fraction) => Number(fraction / 1_000_000n)),
}

function shifted({ nanoseconds, offsetMinutes }: Timestamp, by: bigint): Timestamp {
  return timestampOf(nanoseconds + by, offsetMinutes)
}
