/** Functions of optional values (cel-go cel/library.go). */
import { CelValueError } from '../error.ts'
import type { Library } from '../library.ts'
import {
  Duration,
  isMap,
  List,
  Optional,
  Timestamp,
  typeName,
  Uint,
  type Value,
} from '../values.ts'

/** These are evaluated by program.ts; here are only their types. */
const special = (): Value => {
  throw new TypeError('this function is not called')
}

export const optionals: Library = {
  'optional.of': [['<V> -> optional_type(<V>)', (_meter, value: Value) => Optional.of(value)]],
  'optional.ofNonZeroValue': [
    [
      '<V> -> optional_type(<V>)',
      (_meter, value: Value) => (isZero(value) ? Optional.none : Optional.of(value)),
    ],
  ],
  'optional.none': [[' -> optional_type(<V>)', () => Optional.none]],
  'optional.unwrap': [['list(optional_type(<V>)) -> list(<V>)', unwrap]],
  unwrapOpt: [['.list(optional_type(<V>)) -> list(<V>)', unwrap]],
  hasValue: [
    ['.optional_type(<V>) -> bool', (_meter, { content }: Optional) => content !== undefined],
  ],
  value: [['.optional_type(<V>) -> <V>', value]],
  or: [['.optional_type(<V>), optional_type(<V>) -> optional_type(<V>)', special]],
  orValue: [['.optional_type(<V>), <V> -> <V>', special]],
  first: [['.list(<V>) -> optional_type(<V>)', (_meter, { items }: List) => present(items[0])]],
  last: [['.list(<V>) -> optional_type(<V>)', (_meter, { items }: List) => present(items.at(-1))]],
}

function value(_meter: unknown, { content }: Optional): Value {
  if (content === undefined) throw new CelValueError('optional.none() dereference')
  return content
}

function present(item: Value | undefined): Value {
  return item === undefined ? Optional.none : Optional.of(item)
}

function unwrap(_meter: unknown, { items }: List): Value {
  return new List(
    items.flatMap((item) => {
      if (!(item instanceof Optional)) {
        throw new CelValueError(`a value of type ${typeName(item)} is not optional`)
      }
      return item.content === undefined ? [] : [item.content]
    }),
  )
}

function isZero(value: Value): boolean {
  if (value === null || value === false || value === 0n || value === 0 || value === '') return true
  if (value instanceof List) return value.items.length === 0
  if (value instanceof Uint8Array) return value.length === 0
  if (isMap(value)) return value.size === 0
  return isZeroNumber(value)
}

function isZeroNumber(value: Value): boolean {
  if (value instanceof Uint) return value.value === 0n
  if (value instanceof Duration) return value.nanoseconds === 0n
  if (value instanceof Optional) return value.content === undefined || isZero(value.content)
  // Go's zero time is in the year 1.
  return value instanceof Timestamp && value.nanoseconds === -62_135_596_800_000_000_000n
}
