/** JSON as values of expressions, as Kubernetes' OIDC authenticator converts it. */
import { CelValueError } from './error.ts'
import { unescapeName } from './escaped-names.ts'
import { List, PlainMap, type CelMap, type Value } from './values.ts'

/**
 * Converts parsed JSON. Numbers become doubles, and half of a surrogate pair the replacement character,
 * as in Go.
 */
export function fromJson(json: unknown): Value {
  if (typeof json === 'string') return json.toWellFormed()
  if (typeof json === 'number' || typeof json === 'boolean' || json === null) return json
  if (Array.isArray(json)) return new List(json.map(fromJson))
  if (typeof json !== 'object') throw new TypeError('not a JSON value')
  return new PlainMap(Object.entries(json).map(([key, value]) => [key, fromJson(value)] as const))
}

/** The value as it is found by a field or an index: below it, names of fields may be escaped. */
export function unescaping(value: Value): Value {
  if (value instanceof List) return new List(value.items, { unescapes: true })
  return value instanceof PlainMap ? new UnescapingMap(value) : value
}

/** A map whose fields are found by their escaped names as well. */
class UnescapingMap implements CelMap {
  readonly isMap = true
  readonly typeName = 'map'
  private readonly map: CelMap

  constructor(map: CelMap) {
    this.map = map
  }

  get size(): number {
    return this.map.size
  }

  find(key: Value): Value | undefined {
    const name = typeof key === 'string' ? (unescapeName(key) ?? key) : key
    const value = this.map.find(name)
    return value === undefined ? undefined : unescaping(value)
  }

  has(key: Value): boolean {
    return this.map.has(key)
  }

  entries(): Iterable<readonly [Value, Value]> {
    return this.map.entries()
  }
}

/**
 * The variables `claims` and `user` (apiserver pkg/cel/lazy): they have fields, and are not maps for
 * anything else. A loop over one goes through the values of its fields, not their names.
 */
export class Fields implements CelMap {
  readonly isMap = true
  readonly typeName: string
  private readonly fields: ReadonlyMap<string, () => Value>
  private readonly known = new Map<string, Value>()

  /** Each field is converted when it is first read. */
  constructor(name: string, fields: ReadonlyMap<string, () => Value>) {
    this.typeName = name
    this.fields = fields
  }

  get size(): number {
    return this.fields.size
  }

  find(key: Value): Value | undefined {
    if (typeof key !== 'string') throw new CelValueError('no such overload')
    const name = unescapeName(key)
    return name === undefined ? undefined : this.read(name)
  }

  has(): boolean {
    throw new CelValueError('no such overload')
  }

  entries(): Iterable<readonly [Value, Value]> {
    throw new CelValueError('no such overload')
  }

  /** What a loop goes through. A field whose name looks like an escaped one is not found, and is an error. */
  elements(): readonly (Value | CelValueError)[] {
    return Array.from(this.fields.keys(), (name) => {
      const value = this.find(name)
      return value === undefined ? new CelValueError('no such key') : value
    })
  }

  private read(name: string): Value | undefined {
    const known = this.known.get(name)
    if (known !== undefined) return known
    const value = this.fields.get(name)?.()
    if (value === undefined) return undefined
    const found = unescaping(value)
    this.known.set(name, found)
    return found
  }
}
