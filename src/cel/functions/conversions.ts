/** Conversions between types (cel-go common/types, `ConvertToType`). */
import { CelValueError } from '../error.ts'
import type { Library } from '../library.ts'
import { Uint, type Duration, type Opaque, type Timestamp, type Value } from '../values.ts'
import { formatDuration, parseDuration } from './durations.ts'
import { checkedInt, checkedUint } from './integers.ts'
import { formatTimestamp, parseTimestamp, timestampOf } from './timestamps.ts'

const identity = <T extends Value>(_meter: unknown, value: T): T => value

export const conversions: Library = {
  bool: [
    ['bool -> bool', identity],
    ['string -> bool', (_meter, text: string) => parseBool(text)],
  ],
  bytes: [
    ['bytes -> bytes', identity],
    ['string -> bytes', (_meter, text: string) => Buffer.from(text)],
  ],
  double: [
    ['double -> double', identity],
    ['int -> double', (_meter, value: bigint) => Number(value)],
    ['string -> double', (_meter, text: string) => parseDouble(text)],
    ['uint -> double', (_meter, { value }: Uint) => Number(value)],
  ],
  int: [
    ['int -> int', identity],
    ['double -> int', (_meter, value: number) => checkedInt(truncate(value, 63))],
    ['google.protobuf.Duration -> int', (_meter, { nanoseconds }: Duration) => nanoseconds],
    [
      'google.protobuf.Timestamp -> int',
      (_meter, { nanoseconds }: Timestamp) => floorDivide(nanoseconds, 1_000_000_000n),
    ],
    ['string -> int', (_meter, text: string) => checkedInt(parseInteger(text, /^[+-]?\d+$/))],
    ['uint -> int', (_meter, { value }: Uint) => checkedInt(value)],
  ],
  uint: [
    ['uint -> uint', identity],
    ['double -> uint', (_meter, value: number) => checkedUint(truncate(value, 64))],
    ['int -> uint', (_meter, value: bigint) => checkedUint(value)],
    ['string -> uint', (_meter, text: string) => checkedUint(parseInteger(text, /^\d+$/))],
  ],
  string: [
    ['string -> string', identity],
    ['bool -> string', (_meter, value: boolean) => String(value)],
    ['bytes -> string', (_meter, bytes: Uint8Array) => decodeUtf8(bytes)],
    ['double -> string', (_meter, value: number) => formatDouble(value)],
    ['google.protobuf.Duration -> string', (_meter, value: Duration) => formatDuration(value)],
    ['int -> string', (_meter, value: bigint) => String(value)],
    ['uint -> string', (_meter, { value }: Uint) => String(value)],
    ['google.protobuf.Timestamp -> string', (_meter, value: Timestamp) => formatTimestamp(value)],
    ['net.IP -> string', (_meter, { text }: Opaque) => text],
    ['net.CIDR -> string', (_meter, { text }: Opaque) => text],
  ],
  duration: [
    ['google.protobuf.Duration -> google.protobuf.Duration', identity],
    // cel-go declares it, and its ints have no such conversion (common/types/int.go).
    [
      'int -> google.protobuf.Duration',
      () => {
        throw new CelValueError('an int cannot be converted to a duration')
      },
    ],
    ['string -> google.protobuf.Duration', (_meter, text: string) => parseDuration(text)],
  ],
  timestamp: [
    ['google.protobuf.Timestamp -> google.protobuf.Timestamp', identity],
    [
      'int -> google.protobuf.Timestamp',
      (_meter, value: bigint) => timestampOf(value * 1_000_000_000n, 0),
    ],
    ['string -> google.protobuf.Timestamp', (_meter, text: string) => parseTimestamp(text)],
  ],
}

const TRUE: readonly string[] = ['1', 't', 'T', 'TRUE', 'true', 'True']
const FALSE: readonly string[] = ['0', 'f', 'F', 'FALSE', 'false', 'False']

/** What Go's strconv.ParseBool takes. */
function parseBool(text: string): boolean {
  if (TRUE.includes(text)) return true
  if (FALSE.includes(text)) return false
  throw new CelValueError("type conversion error from 'string' to 'bool'")
}

function parseInteger(text: string, form: RegExp): bigint {
  if (!form.test(text)) throw new CelValueError("type conversion error from 'string' to a number")
  return text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text.replace('+', ''))
}

const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/
const SPECIAL = /^([+-]?)(?:(inf|infinity)|nan)$/i

/** What Go's strconv.ParseFloat takes, without hexadecimal digits. */
function parseDouble(text: string): number {
  const [special, sign, infinity] = SPECIAL.exec(text) ?? []
  if (infinity !== undefined) return sign === '-' ? -Infinity : Infinity
  // Go does not take a sign before "nan".
  if (special !== undefined && sign === '') return NaN
  const value = DECIMAL.test(text) ? Number(text) : NaN
  if (Number.isFinite(value)) return value
  throw new CelValueError("type conversion error from 'string' to 'double'")
}

/** Towards zero, if the result is less than two to the power of `bits`. */
function truncate(value: number, bits: number): bigint {
  if (!Number.isFinite(value) || Math.abs(value) >= 2 ** bits) {
    throw new CelValueError('the number does not fit into 64 bits')
  }
  return BigInt(Math.trunc(value))
}

function floorDivide(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor
  return value % divisor < 0n ? quotient - 1n : quotient
}

/** Go's `%g`, which has an exponent of at least two digits below 10^-4 and from 10^6 on. */
export function formatDouble(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  const [digits = '', exponent = '0'] = value.toExponential().split('e')
  const power = Number(exponent)
  if (power >= -4 && power < 6) return String(value)
  return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @throws CelValueError for bytes that are not UTF-8 */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw new CelValueError('invalid UTF-8 in bytes, cannot convert to string')
  }
}
