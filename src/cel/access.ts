/** Fields and elements of values (cel-go interpreter/attributes.go). */
import { CelValueError } from './error.ts'
import { unescaping } from './json-values.ts'
import { isMap, List, Optional, typeName, Uint, type Value } from './values.ts'

/**
 * `value.key` and `value[key]`; what is found in an optional is optional.
 *
 * @throws CelValueError if there is none
 */
export function get(value: Value, key: Value): Value {
  if (value instanceof Optional) return getOptional(value, key)
  const found = find(value, key)
  if (found !== undefined) return found
  throw new CelValueError(
    value instanceof List ? 'index out of bounds' : `no such key: ${shown(key)}`,
  )
}

/** `value.?key` and `value[?key]`. */
export function getOptional(value: Value, key: Value): Optional {
  const target = value instanceof Optional ? value.content : value
  const found = target === undefined ? undefined : find(target, key)
  return found === undefined ? Optional.none : Optional.of(found)
}

/** `has(value.key)` */
export function isPresent(value: Value, key: Value): boolean {
  const target = value instanceof Optional ? value.content : value
  return target !== undefined && find(target, key) !== undefined
}

/** Undefined also for a value that has neither fields nor elements. */
function find(value: Value, key: Value): Value | undefined {
  if (isMap(value)) return value.find(key)
  if (!(value instanceof List)) return undefined
  const item = value.items[indexOf(key)]
  return item === undefined || !value.unescapes ? item : unescaping(item)
}

/** @throws CelValueError for a key that is not a whole number */
function indexOf(key: Value): number {
  const index = key instanceof Uint ? Number(key.value) : key
  if (typeof index === 'bigint') return Number(index)
  if (typeof index === 'number' && Number.isInteger(index)) return index
  throw new CelValueError(`unsupported index type '${typeName(key)}' in list`)
}

function shown(key: Value): string {
  return typeof key === 'string' ? key.slice(0, 100) : typeName(key)
}
