/** Equality and order of values (cel-go common/types, `Equal` and `Compare`). */
import { CelValueError } from './error.ts'
import { Fields } from './json-values.ts'
import { CHARACTERS_PER_STEP, type Meter } from './meter.ts'
import {
  Duration,
  isMap,
  isOpaque,
  List,
  Optional,
  Timestamp,
  TypeValue,
  typeName,
  Uint,
  type CelMap,
  type Value,
} from './values.ts'

/** Values of different types are different, except numbers, which are compared by their value. */
export function isEqual(a: Value, b: Value, meter: Meter): boolean {
  meter.charge(1)
  if (typeof a === 'string' && typeof b === 'string') {
    if (a.length === b.length) meter.charge(a.length / CHARACTERS_PER_STEP)
    return a === b
  }
  const left = numberOf(a)
  const right = numberOf(b)
  // JavaScript compares bigint and number by their exact values.
  // eslint-disable-next-line eqeqeq -- `===` is false for numbers of two types
  if (left !== undefined && right !== undefined) return left == right
  if (a instanceof List && b instanceof List) return areEqualLists(a, b, meter)
  if (a instanceof Fields) return isSameVariable(a, b)
  if (isMap(a) && isMap(b)) return areEqualMaps(a, b, meter)
  return a === b || areEqualObjects(a, b, meter)
}

function areEqualLists({ items: a }: List, { items: b }: List, meter: Meter): boolean {
  return a.length === b.length && a.every((item, i) => isEqual(item, b[i] ?? null, meter))
}

function areEqualMaps(a: CelMap, b: CelMap, meter: Meter): boolean {
  if (a.size !== b.size) return false
  for (const [key, value] of a.entries()) {
    const other = b.find(key)
    if (other === undefined || !isEqual(value, other, meter)) return false
  }
  return true
}

/** A variable with fields is only comparable with one like it. */
function isSameVariable(a: Fields, b: Value): boolean {
  if (b === null || b instanceof Fields) return a === b
  throw new CelValueError('no such overload')
}

function areEqualObjects(a: Value, b: Value, meter: Meter): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0
  const times = timesOf(a, b)
  if (times !== undefined) return times[0] === times[1]
  if (a instanceof TypeValue && b instanceof TypeValue) return a.name === b.name
  if (a instanceof Optional && b instanceof Optional) return areEqualOptionals(a, b, meter)
  return isOpaque(a) && isOpaque(b) && a.opaqueType === b.opaqueType && a.text === b.text
}

function areEqualOptionals(a: Optional, b: Optional, meter: Meter): boolean {
  if (a.content === undefined || b.content === undefined) return a.content === b.content
  return isEqual(a.content, b.content, meter)
}

function numberOf(value: Value): bigint | number | undefined {
  if (typeof value === 'bigint' || typeof value === 'number') return value
  return value instanceof Uint ? value.value : undefined
}

/**
 * Negative if `a` comes before `b`, positive if behind it, zero if neither.
 *
 * @throws CelValueError for values that have no order, or none with each other
 */
export function compare(a: Value, b: Value, meter: Meter): number {
  meter.charge(1)
  const left = numberOf(a)
  const right = numberOf(b)
  if (left !== undefined && right !== undefined) return compareNumbers(left, right)
  if (typeof a === 'string' && typeof b === 'string') return compareStrings(a, b, meter)
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b)
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b)
  const times = timesOf(a, b)
  if (times !== undefined) return compareNumbers(...times)
  throw new CelValueError(`no such overload: ${typeName(a)} and ${typeName(b)} are not comparable`)
}

function timesOf(a: Value, b: Value): [bigint, bigint] | undefined {
  const isPair =
    (a instanceof Timestamp && b instanceof Timestamp) ||
    (a instanceof Duration && b instanceof Duration)
  return isPair ? [a.nanoseconds, b.nanoseconds] : undefined
}

/** NaN is not ordered. */
function compareNumbers(a: bigint | number, b: bigint | number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) throw new CelValueError('NaN values cannot be ordered')
  return a < b ? -1 : a > b ? 1 : 0
}

/** By code points, which is the order of the bytes of UTF-8; JavaScript compares code units. */
function compareStrings(a: string, b: string, meter: Meter): number {
  meter.charge(Math.min(a.length, b.length) / CHARACTERS_PER_STEP)
  if (a === b) return 0
  let at = 0
  while (at < a.length && at < b.length && a.charCodeAt(at) === b.charCodeAt(at)) at++
  // A low surrogate differs: its high one, which is the same in both, begins the code point.
  if (at > 0 && isLowSurrogate(a.charCodeAt(at)) && isLowSurrogate(b.charCodeAt(at))) at--
  return (a.codePointAt(at) ?? -1) - (b.codePointAt(at) ?? -1)
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff
}
