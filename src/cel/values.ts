/** Values of expressions at run time (cel-go common/types). */
import { CelValueError } from './error.ts'

/**
 * A value: int is bigint, double is number, null is null, and bytes are a Uint8Array. The others are
 * classes of this file.
 */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | Uint
  | Timestamp
  | Duration
  | List
  | CelMap
  | Optional
  | TypeValue
  | Opaque

/** A `uint`. */
export class Uint {
  readonly value: bigint
  constructor(value: bigint) {
    this.value = value
  }
}

/** A `google.protobuf.Duration`. */
export class Duration {
  readonly nanoseconds: bigint
  constructor(nanoseconds: bigint) {
    this.nanoseconds = nanoseconds
  }
}

/** A `google.protobuf.Timestamp`. */
export class Timestamp {
  /** Since the epoch. */
  readonly nanoseconds: bigint
  /** That it was written with; `string()` writes it again. */
  readonly offsetMinutes: number
  constructor(nanoseconds: bigint, offsetMinutes: number) {
    this.nanoseconds = nanoseconds
    this.offsetMinutes = offsetMinutes
  }
}

/** An IP address or another value whose content only its own functions know. */
export interface Opaque {
  readonly opaqueType: string
  /** Equal texts of one type are equal values. */
  readonly text: string
}

/** A type as a value, which `type()` returns. */
export class TypeValue {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** An `optional_type`. */
export class Optional {
  static readonly none = new Optional(undefined)
  readonly content: Value | undefined
  private constructor(content: Value | undefined) {
    this.content = content
  }
  static of(content: Value): Optional {
    return new Optional(content)
  }
}

/** A `list`. */
export class List {
  readonly items: readonly Value[]
  /** Elements that are looked up by index find escaped names of fields. */
  readonly unescapes: boolean
  /** It is a `[]string` in Go, which kube-apiserver does not take for a list of groups. */
  readonly isGoStrings: boolean

  constructor(items: readonly Value[], { unescapes = false, isGoStrings = false } = {}) {
    this.items = items
    this.unescapes = unescapes
    this.isGoStrings = isGoStrings
  }
}

export interface CelMap {
  readonly isMap: true
  readonly size: number
  /** By `.field`, `[key]` and their optional forms. */
  find(key: Value): Value | undefined
  /** By the operator `in`. */
  has(key: Value): boolean
  /** What a loop over the map goes through: keys and values. */
  entries(): Iterable<readonly [key: Value, value: Value]>
  /** The name that `type()` returns. */
  readonly typeName: string
}

/** A map with keys of any type that may be one. */
export class PlainMap implements CelMap {
  readonly isMap = true
  readonly typeName = 'map'
  private readonly content: ReadonlyMap<string, readonly [Value, Value]>

  /**
   * Of several entries with the same key, the last one counts.
   *
   * @throws CelValueError for a key of a type that no key has
   */
  constructor(entries: Iterable<readonly [Value, Value]>) {
    const content = new Map<string, readonly [Value, Value]>()
    for (const entry of entries) {
      const key = keyText(entry[0])
      if (key === undefined) throw new CelValueError(`unsupported key type: ${typeName(entry[0])}`)
      content.set(key, entry)
    }
    this.content = content
  }

  get size(): number {
    return this.content.size
  }

  find(key: Value): Value | undefined {
    const text = keyText(key)
    return text === undefined ? undefined : this.content.get(text)?.[1]
  }

  has(key: Value): boolean {
    return this.find(key) !== undefined
  }

  entries(): Iterable<readonly [Value, Value]> {
    return this.content.values()
  }
}

/** Equal numbers are the same key, whatever their type. Undefined for what cannot be a key. */
function keyText(key: Value): string | undefined {
  if (typeof key === 'string') return `s${key}`
  if (typeof key === 'boolean') return `b${key}`
  if (typeof key === 'bigint') return `n${key}`
  if (key instanceof Uint) return `n${key.value}`
  if (typeof key === 'number' && Number.isInteger(key)) return `n${BigInt(key)}`
  return undefined
}

/** Whether a value is a `map`. */
export function isMap(value: Value): value is CelMap {
  return typeof value === 'object' && value !== null && 'isMap' in value
}

/** Whether a value is opaque. */
export function isOpaque(value: Value): value is Opaque {
  return typeof value === 'object' && value !== null && 'opaqueType' in value
}

const PRIMITIVES: Readonly<Record<string, string>> = {
  boolean: 'bool',
  bigint: 'int',
  number: 'double',
  string: 'string',
}

/** The name of a value's type, without parameters. */
export function typeName(value: Value): string {
  if (value === null) return 'null_type'
  return PRIMITIVES[typeof value] ?? objectTypeName(value)
}

function objectTypeName(value: Value): string {
  if (value instanceof List) return 'list'
  if (isMap(value)) return value.typeName
  if (value instanceof Optional) return 'optional_type'
  if (value instanceof Uint8Array) return 'bytes'
  if (value instanceof Uint) return 'uint'
  if (value instanceof Timestamp) return 'google.protobuf.Timestamp'
  if (value instanceof Duration) return 'google.protobuf.Duration'
  return isOpaque(value) ? value.opaqueType : 'type'
}
