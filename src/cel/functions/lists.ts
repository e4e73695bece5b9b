/** Functions of lists (apiserver pkg/cel/library/lists.go, cel-go ext/lists.go version 3, ext/sets.go). */
import { compare, isEqual } from '../compare.ts'
import { CelValueError, valueOrError } from '../error.ts'
import type { Declaration, Library } from '../library.ts'
import type { Meter } from '../meter.ts'
import { Duration, List, typeName, Uint, type Value } from '../values.ts'
import { durationOf } from './durations.ts'
import { checkedInt, checkedUint } from './integers.ts'

const DURATION = 'google.protobuf.Duration'
const COMPARABLE: readonly string[] = [
  ...['int', 'uint', 'double', 'bool', DURATION, 'google.protobuf.Timestamp', 'string', 'bytes'],
]

type ListFunction = (meter: Meter, list: List, other: List) => Value

/** An overload for each type that has an order. */
function ofComparable(
  signature: (type: string) => string,
  implementation: ListFunction,
  options: Declaration[2] = { takesAnyList: false },
): readonly Declaration[] {
  return COMPARABLE.map((type) => [signature(type), implementation, options])
}

const ANY_LIST = { takesAnyList: true }

export const lists: Library = {
  isSorted: ofComparable((type) => `.list(${type}) -> bool`, isSorted),
  sum: [
    [
      '.list(int) -> int',
      sum<bigint>(0n, (a, b) => (typeof b === 'bigint' ? checkedInt(a + b) : undefined)),
    ],
    [
      '.list(uint) -> uint',
      sum(new Uint(0n), (a, b) => (b instanceof Uint ? checkedUint(a.value + b.value) : undefined)),
    ],
    [
      '.list(double) -> double',
      sum<number>(0, (a, b) => (typeof b === 'number' ? a + b : undefined)),
    ],
    [
      `.list(${DURATION}) -> ${DURATION}`,
      sum(new Duration(0n), (a, b) =>
        b instanceof Duration ? durationOf(a.nanoseconds + b.nanoseconds) : undefined,
      ),
    ],
  ],
  max: ofComparable(
    (type) => `.list(${type}) -> ${type}`,
    extreme('max', (order) => order < 0),
  ),
  min: ofComparable(
    (type) => `.list(${type}) -> ${type}`,
    extreme('min', (order) => order > 0),
  ),
  indexOf: [
    [
      '.list(<A>), <A> -> int',
      (meter, { items }: List, value: Value) =>
        BigInt(items.findIndex((item) => isEqual(item, value, meter))),
    ],
  ],
  lastIndexOf: [
    [
      '.list(<A>), <A> -> int',
      (meter, { items }: List, value: Value) =>
        BigInt(items.findLastIndex((item) => isEqual(item, value, meter))),
    ],
  ],
  slice: [['.list(<T>), int, int -> list(<T>)', slice]],
  flatten: [
    ['.list(list(<T>)) -> list(<T>)', (meter, list: List) => flattened(meter, list, 1n), ANY_LIST],
    [
      '.list(dyn), int -> list(dyn)',
      (meter, list: List, depth: bigint) => flattened(meter, list, depth),
      ANY_LIST,
    ],
  ],
  sort: ofComparable(
    (type) => `.list(${type}) -> list(${type})`,
    (meter, list) => sorted(meter, list, list),
    ANY_LIST,
  ),
  '@sortByAssociatedKeys': ofComparable(
    (type) => `.list(<T>), list(${type}) -> list(<T>)`,
    sorted,
    ANY_LIST,
  ),
  'lists.range': [['int -> list(int)', range]],
  reverse: [
    [
      '.list(<T>) -> list(<T>)',
      (meter, { items }: List) => {
        meter.charge(items.length)
        return new List(items.toReversed())
      },
    ],
  ],
  distinct: [['.list(<T>) -> list(<T>)', distinct]],
  'sets.contains': [['list(<T>), list(<T>) -> bool', contains]],
  'sets.equivalent': [
    [
      'list(<T>), list(<T>) -> bool',
      (meter, a: List, b: List) => contains(meter, a, b) && contains(meter, b, a),
    ],
  ],
  'sets.intersects': [
    [
      'list(<T>), list(<T>) -> bool',
      (meter, { items: a }: List, { items: b }: List) =>
        a.some((one) => b.some((other) => isEqual(one, other, meter))),
    ],
  ],
}

function isSorted(meter: Meter, { items }: List): boolean {
  return items.every((item, i) => compareItems(item, items[i + 1] ?? item, meter) <= 0)
}

/** As cel-go compares elements of a list here: two that have no order with each other are in order. */
function compareItems(a: Value, b: Value, meter: Meter): number {
  for (const item of [a, b]) {
    if (!COMPARABLE.includes(typeName(item))) throw new CelValueError('no such overload')
  }
  const order = valueOrError(() => compare(a, b, meter))
  return order instanceof CelValueError ? 0 : order
}

function sum<T extends Value>(zero: T, add: (a: T, b: Value) => T | undefined) {
  return (meter: Meter, { items }: List): Value => {
    meter.charge(items.length)
    return items.reduce<T>((total, item) => {
      const added = add(total, item)
      if (added === undefined) {
        throw new CelValueError(`no such overload: ${typeName(total)} + ${typeName(item)}`)
      }
      return added
    }, zero)
  }
}

function extreme(name: string, isBetter: (order: number) => boolean): ListFunction {
  return (meter, { items }) => {
    const [first] = items
    if (first === undefined) throw new CelValueError(`${name} called on empty list`)
    return items.reduce(
      (best, item) => (isBetter(compareItems(best, item, meter)) ? item : best),
      first,
    )
  }
}

function slice(meter: Meter, { items }: List, start: bigint, end: bigint): Value {
  if (start < 0n || start > end || end > BigInt(items.length)) {
    throw new CelValueError(`cannot slice(${start}, ${end}), list is length ${items.length}`)
  }
  meter.charge(Number(end - start))
  return new List(items.slice(Number(start), Number(end)))
}

function flattened(meter: Meter, list: List, depth: bigint): List {
  if (depth < 0n) throw new CelValueError('level must be non-negative')
  const items = list.items.flatMap((item) => {
    meter.charge(1)
    return item instanceof List && depth > 0n ? flattened(meter, item, depth - 1n).items : [item]
  })
  return new List(items)
}

/** In the order of the keys; those are of one type. Equal keys keep their order. */
function sorted(meter: Meter, list: List, { items: keys }: List): Value {
  const { items } = list
  const [first] = keys
  if (keys.length !== items.length) throw new CelValueError('as many keys as elements are needed')
  if (first === undefined) return list
  if (!COMPARABLE.includes(typeName(first))) {
    throw new CelValueError('list elements must be comparable')
  }
  if (keys.some((key) => typeName(key) !== typeName(first))) {
    throw new CelValueError('list elements must have the same type')
  }
  const pairs = items.map((item, i) => [keys[i] ?? null, item] as const)
  return new List(pairs.sort(([a], [b]) => compare(a, b, meter)).map(([, item]) => item))
}

function range(meter: Meter, length: bigint): Value {
  meter.charge(Math.max(0, Number(length)))
  return new List(Array.from({ length: Math.max(0, Number(length)) }, (_, i) => BigInt(i)))
}

function distinct(meter: Meter, list: List): Value {
  const { items } = list
  if (items.length === 0) return list
  const found: Value[] = []
  for (const item of items) {
    if (!found.some((other) => isEqual(item, other, meter))) found.push(item)
  }
  return new List(found)
}

function contains(meter: Meter, { items }: List, { items: parts }: List): boolean {
  return parts.every((part) => items.some((item) => isEqual(item, part, meter)))
}
