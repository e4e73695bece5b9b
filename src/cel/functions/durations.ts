/** Lengths of time, as Go's time.ParseDuration reads and cel-go writes them. */
import { CelValueError } from '../error.ts'
import type { Library } from '../library.ts'
import { Duration } from '../values.ts'
import { checkedInt } from './integers.ts'

const UNITS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
}

const WHOLE = /^[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/
const PART = /(\d*)\.?(\d*)(ns|us|µs|μs|ms|s|m|h)/g

/** @throws CelValueError for text in another form, or that does not fit into 64 bits */
export function parseDuration(text: string): Duration {
  if (!WHOLE.test(text))
    throw new CelValueError("type conversion error from 'string' to 'duration'")
  let nanoseconds = 0n
  for (const [, whole = '', fraction = '', unit = ''] of text.matchAll(PART)) {
    const scale = UNITS[unit] ?? 0n
    nanoseconds += BigInt(whole) * scale + fractionOf(fraction, scale)
  }
  return durationOf(text.startsWith('-') ? -nanoseconds : nanoseconds)
}

/** Digits behind the point beyond those of a 64-bit number count nothing. */
function fractionOf(digits: string, scale: bigint): bigint {
  const used = digits.slice(0, 18)
  return used === '' ? 0n : (BigInt(used) * scale) / 10n ** BigInt(used.length)
}

/** @throws CelValueError for what does not fit into 64 bits */
export function durationOf(nanoseconds: bigint): Duration {
  return new Duration(checkedInt(nanoseconds))
}

/** Seconds, such as `1.5s`. */
export function formatDuration({ nanoseconds }: Duration): string {
  const size = nanoseconds < 0n ? -nanoseconds : nanoseconds
  const fraction = String(size % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0+$/, '')
  const sign = nanoseconds < 0n ? '-' : ''
  return `${sign}${size / 1_000_000_000n}${fraction === '' ? '' : `.${fraction}`}s`
}

const DURATION = 'google.protobuf.Duration'

/** The number of whole units. */
const unit = (name: string) => (_meter: unknown, value: Duration) =>
  value.nanoseconds / (UNITS[name] ?? 1n)

export const durationArithmetic: Library = {
  '_+_': [
    [
      `${DURATION}, ${DURATION} -> ${DURATION}`,
      (_meter, a: Duration, b: Duration) => durationOf(a.nanoseconds + b.nanoseconds),
    ],
  ],
  '_-_': [
    [
      `${DURATION}, ${DURATION} -> ${DURATION}`,
      (_meter, a: Duration, b: Duration) => durationOf(a.nanoseconds - b.nanoseconds),
    ],
  ],
}

export const durationUnits: Library = {
  getHours: [[`.${DURATION} -> int`, unit('h')]],
  getMinutes: [[`.${DURATION} -> int`, unit('m')]],
  getSeconds: [[`.${DURATION} -> int`, unit('s')]],
  getMilliseconds: [[`.${DURATION} -> int`, unit('ms')]],
}
