/** Operators, and functions of all types (cel-go common/stdlib). */
import { compare, isEqual } from '../compare.ts'
import { CelValueError } from '../error.ts'
import type { Declaration, Library } from '../library.ts'
import type { Meter } from '../meter.ts'
import { List, PlainMap, typeName, TypeValue, Uint, type CelMap, type Value } from '../values.ts'
import { checkedInt, checkedUint } from './integers.ts'
import { characters } from './text.ts'

/** These are evaluated by program.ts; here are only their types. */
const special = (): Value => {
  throw new TypeError('this function is not called')
}

const COMPARED: readonly string[] = [
  ...['bool, bool', 'int, int', 'int, double', 'int, uint', 'uint, uint', 'uint, double'],
  ...['uint, int', 'double, double', 'double, int', 'double, uint', 'string, string'],
  ...['bytes, bytes', 'google.protobuf.Timestamp, google.protobuf.Timestamp'],
  'google.protobuf.Duration, google.protobuf.Duration',
]

function relation(holds: (order: number) => boolean): readonly Declaration[] {
  return COMPARED.map((types) => [
    `${types} -> bool`,
    (meter: Meter, a: Value, b: Value) => holds(compare(a, b, meter)),
  ])
}

export const operators: Library = {
  '_?_:_': [['bool, <A>, <A> -> <A>', special]],
  '_&&_': [['bool, bool -> bool', special]],
  '_||_': [['bool, bool -> bool', special]],
  '@not_strictly_false': [['bool -> bool', special]],
  '_==_': [['<A>, <A> -> bool', special]],
  '_!=_': [['<A>, <A> -> bool', special]],
  '_[_]': [
    ['list(<A>), int -> <A>', special],
    ['map(<A>, <B>), <A> -> <B>', special],
    ['optional_type(list(<V>)), int -> optional_type(<V>)', special],
    ['optional_type(map(<K>, <V>)), <K> -> optional_type(<V>)', special],
  ],
  '_[?_]': [
    ['list(<V>), int -> optional_type(<V>)', special],
    ['optional_type(list(<V>)), int -> optional_type(<V>)', special],
    ['map(<K>, <V>), <K> -> optional_type(<V>)', special],
    ['optional_type(map(<K>, <V>)), <K> -> optional_type(<V>)', special],
  ],
  '!_': [['bool -> bool', (_meter, value: boolean) => !value]],
  '-_': [
    ['double -> double', (_meter, value: number) => -value],
    ['int -> int', (_meter, value: bigint) => checkedInt(-value)],
  ],
  '_*_': [
    ['double, double -> double', (_meter, a: number, b: number) => a * b],
    ['int, int -> int', (_meter, a: bigint, b: bigint) => checkedInt(a * b)],
    ['uint, uint -> uint', (_meter, a: Uint, b: Uint) => checkedUint(a.value * b.value)],
  ],
  '_/_': [
    ['double, double -> double', (_meter, a: number, b: number) => a / b],
    ['int, int -> int', (_meter, a: bigint, b: bigint) => checkedInt(a / divisor(b))],
    ['uint, uint -> uint', (_meter, a: Uint, b: Uint) => checkedUint(a.value / divisor(b.value))],
  ],
  '_%_': [
    ['int, int -> int', (_meter, a: bigint, b: bigint) => a % divisor(b)],
    ['uint, uint -> uint', (_meter, a: Uint, b: Uint) => checkedUint(a.value % divisor(b.value))],
  ],
  '_+_': [
    ['bytes, bytes -> bytes', (_meter, a: Uint8Array, b: Uint8Array) => Buffer.concat([a, b])],
    ['double, double -> double', (_meter, a: number, b: number) => a + b],
    ['int, int -> int', (_meter, a: bigint, b: bigint) => checkedInt(a + b)],
    ['list(<A>), list(<A>) -> list(<A>)', concatenate],
    ['string, string -> string', (_meter, a: string, b: string) => a + b],
    ['uint, uint -> uint', (_meter, a: Uint, b: Uint) => checkedUint(a.value + b.value)],
  ],
  '_-_': [
    ['double, double -> double', (_meter, a: number, b: number) => a - b],
    ['int, int -> int', (_meter, a: bigint, b: bigint) => checkedInt(a - b)],
    ['uint, uint -> uint', (_meter, a: Uint, b: Uint) => checkedUint(a.value - b.value)],
  ],
  '_<_': relation((order) => order < 0),
  '_<=_': relation((order) => order <= 0),
  '_>_': relation((order) => order > 0),
  '_>=_': relation((order) => order >= 0),
  '@in': [
    ['<A>, list(<A>) -> bool', isElement],
    ['<A>, map(<A>, <B>) -> bool', (_meter, key: Value, map: CelMap) => map.has(key)],
  ],
  '@append': [['list(<A>), list(<A>) -> list(<A>)', append]],
  'cel.@mapInsert': [
    [
      'map(<K>, <V>), <K>, <V> -> map(<K>, <V>)',
      (meter, map: CelMap, key: Value, value: Value) => insert(meter, map, [[key, value]]),
    ],
    [
      'map(<K>, <V>), map(<K>, <V>) -> map(<K>, <V>)',
      (meter, map: CelMap, added: CelMap) => insert(meter, map, [...added.entries()]),
    ],
  ],
  size: (['', '.'] as const).flatMap((form): Declaration[] => [
    [`${form}bytes -> int`, (_meter, bytes: Uint8Array) => BigInt(bytes.length)],
    [`${form}list(<A>) -> int`, (_meter, { items }: List) => BigInt(items.length)],
    [`${form}map(<A>, <B>) -> int`, (_meter, map: CelMap) => BigInt(map.size)],
    [`${form}string -> int`, (_meter, text: string) => BigInt(characters(text).length)],
  ]),
  dyn: [['<A> -> dyn', (_meter, value: Value) => value]],
  type: [['<A> -> type(<A>)', (_meter, value: Value) => new TypeValue(typeName(value))]],
}

function divisor(value: bigint): bigint {
  if (value === 0n) throw new CelValueError('division by zero')
  return value
}

function concatenate(meter: Meter, a: List, b: List): Value {
  meter.charge(a.items.length + b.items.length)
  return new List([...a.items, ...b.items])
}

/** Only macros call this, with an accumulator that nothing else refers to. */
function append(_meter: Meter, list: List, added: List): Value {
  ;(list.items as Value[]).push(...added.items)
  return list
}

function isElement(meter: Meter, value: Value, { items }: List): Value {
  return items.some((item) => isEqual(item, value, meter))
}

function insert(meter: Meter, map: CelMap, added: readonly (readonly [Value, Value])[]): Value {
  meter.charge(map.size + added.length)
  if (added.some(([key]) => map.has(key))) throw new CelValueError('insert failed: key is there')
  return new PlainMap([...map.entries(), ...added])
}
