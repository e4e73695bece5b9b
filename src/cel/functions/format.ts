/** `format` of strings (cel-go ext/formatting.go). */
import { CelValueError } from '../error.ts'
import { CHARACTERS_PER_STEP, type Meter } from '../meter.ts'
import {
  Duration,
  isMap,
  List,
  Timestamp,
  TypeValue,
  typeName,
  Uint,
  type CelMap,
  type Value,
} from '../values.ts'
import { decodeUtf8, formatDouble } from './conversions.ts'
import { formatDuration } from './durations.ts'
import { SHORT_ESCAPES } from './short-escapes.ts'
import { formatTimestamp } from './timestamps.ts'

/** Digits after the decimal point of a double within a list or map. */
const FRACTION_DIGITS = 6
const CLAUSE = /%(?:%|(?:\.(\d+))?(.?))/gsu

/** What is between the clauses, and the clauses: their letter, `%` for a percent sign. */
export interface Template {
  readonly texts: readonly string[]
  readonly clauses: readonly string[]
}

/**
 * Parses a template.
 *
 * @throws CelValueError for a clause that is not supported: fixed-point and scientific ones, whose
 * result depends on a locale in Kubernetes, are not
 */
export function parseTemplate(text: string): Template {
  const texts: string[] = []
  const clauses: string[] = []
  let end = 0
  for (const match of text.matchAll(CLAUSE)) {
    const [clause, precision, letter] = match
    texts.push(text.slice(end, match.index))
    end = match.index + clause.length
    if (letter === undefined) {
      texts.push(`${texts.pop() ?? ''}%`)
      clauses.push('%')
      continue
    }
    if (precision !== undefined || !'sdbxXo'.includes(letter) || letter === '') {
      throw new CelValueError(`the format clause ${JSON.stringify(clause)} is not supported`)
    }
    clauses.push(letter)
  }
  return { texts: [...texts, text.slice(end)], clauses }
}

/** Replaces each clause by the argument in its place. */
export function format(meter: Meter, text: string, { items }: List): Value {
  const { texts, clauses } = parseTemplate(text)
  let used = 0
  let result = texts[0] ?? ''
  for (const [i, clause] of clauses.entries()) {
    if (clause !== '%') {
      const item = items[used]
      if (item === undefined) throw new CelValueError(`index ${used} out of range`)
      used++
      result += formatClause(meter, clause, item)
    }
    result += texts[i + 1] ?? ''
    meter.charge(1 + result.length / CHARACTERS_PER_STEP)
  }
  return result
}

function formatClause(meter: Meter, clause: string, value: Value): string {
  if (clause === 's') return formatString(meter, value)
  if (clause === 'd') return formatInteger(clause, value, 10)
  if (clause === 'b' && typeof value === 'boolean') return value ? '1' : '0'
  if (clause === 'b') return formatInteger(clause, value, 2)
  if (clause === 'o') return formatInteger(clause, value, 8)
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  const text =
    bytes instanceof Uint8Array
      ? Buffer.from(bytes).toString('hex')
      : formatInteger(clause, value, 16)
  return clause === 'X' ? text.toUpperCase() : text
}

function formatInteger(clause: string, value: Value, radix: number): string {
  if (typeof value === 'bigint') return value.toString(radix)
  if (value instanceof Uint) return value.value.toString(radix)
  throw new CelValueError(
    `%${clause} clause can only be used on integers, not on ${typeName(value)}`,
  )
}

/** The text of a value by itself; within a list or map, strings and bytes are quoted. */
function formatString(meter: Meter, value: Value): string {
  meter.charge(1)
  if (typeof value === 'string') return value
  if (value === null || typeof value === 'boolean' || typeof value === 'bigint')
    return String(value)
  if (typeof value === 'number') return formatDouble(value)
  if (value instanceof Uint) return String(value.value)
  if (value instanceof List) return formatList(meter, value)
  if (isMap(value)) return formatMap(meter, value)
  return formatObject(value)
}

function formatObject(value: Value): string {
  if (value instanceof Timestamp) return formatTimestamp(value)
  if (value instanceof Duration) return formatDuration(value)
  if (value instanceof TypeValue) return value.name
  if (value instanceof Uint8Array) return decodeUtf8(value)
  throw new CelValueError(`a value of type ${typeName(value)} cannot be formatted`)
}

function formatList(meter: Meter, { items }: List): string {
  return `[${items.map((item) => formatNested(meter, item)).join(', ')}]`
}

function formatMap(meter: Meter, map: CelMap): string {
  const entries = Array.from(map.entries(), ([key, value]) => {
    return [formatNested(meter, key), formatNested(meter, value)] as const
  })
  const sorted = entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return `{${sorted.map(([key, value]) => `${key}:${value}`).join(', ')}}`
}

function formatNested(meter: Meter, value: Value): string {
  if (typeof value === 'string') return quoted(value)
  if (value instanceof Timestamp) return `timestamp("${formatTimestamp(value)}")`
  if (value instanceof Duration) return `duration("${formatDuration(value)}")`
  if (typeof value === 'number') return formatFixed(value)
  if (value instanceof Uint8Array) return `b${quoted(decodeUtf8(value))}`
  return formatString(meter, value)
}

/** Six digits after the decimal point, as Go rounds them; NaN and infinities are quoted. */
function formatFixed(value: number): string {
  if (!Number.isFinite(value)) return quoted(formatDouble(value))
  const sign = value < 0 || Object.is(value, -0) ? '-' : ''
  const digits = millionths(Math.abs(value))
    .toString()
    .padStart(FRACTION_DIGITS + 1, '0')
  return `${sign}${digits.slice(0, -FRACTION_DIGITS)}.${digits.slice(-FRACTION_DIGITS)}`
}

/**
 * The nearest number of millionths, computed exactly; a half is rounded to even. `toFixed` rounds a half up, and
 * uses an exponent from 1e21 on.
 */
function millionths(value: number): bigint {
  let scaled = value
  let shift = 0n
  // Doubling is exact.
  for (; !Number.isInteger(scaled); scaled *= 2) shift += 1n
  const product = BigInt(scaled) * 10n ** BigInt(FRACTION_DIGITS)
  const whole = product >> shift
  const twiceRest = (product - (whole << shift)) * 2n
  const one = 1n << shift
  const isUp = twiceRest > one || (twiceRest === one && whole % 2n === 1n)
  return isUp ? whole + 1n : whole
}

/** Go's strconv.Quote. */
function quoted(text: string): string {
  const escaped = text.replace(/["\\]|[^ \p{L}\p{M}\p{N}\p{P}\p{S}]/gu, (character) => {
    const short = SHORT_ESCAPES[character]
    if (short !== undefined) return short
    const code = character.codePointAt(0) ?? 0
    if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`
    return code > 0xffff
      ? `\\U${code.toString(16).padStart(8, '0')}`
      : `\\u${code.toString(16).padStart(4, '0')}`
  })
  return `"${escaped}"`
}
