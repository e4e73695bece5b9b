/** Types of expressions (cel-go common/types/types.go), written as in its messages: `list(string)`. */

export interface Type {
  readonly kind: Kind
  /** Of an opaque type, a message or a type parameter its own name, otherwise the kind's. */
  readonly name: string
  readonly parameters: readonly Type[]
}

export type Kind =
  | SimpleKind
  | 'list'
  | 'map'
  | 'type'
  /** A type that only functions know the content of, such as `optional_type(string)`. */
  | 'opaque'
  /** A message with declared fields. */
  | 'struct'
  /** A type parameter of an overload, or a type that is not known yet. */
  | 'parameter'
  /** What an expression with an error has. */
  | 'error'

type SimpleKind = (typeof SIMPLE)[number]

const SIMPLE = [
  ...(['dyn', 'any', 'null', 'bool', 'int', 'uint', 'double', 'string', 'bytes'] as const),
  ...(['timestamp', 'duration'] as const),
] as const

/** Names of those that are not the kind's. */
const NAMES: Readonly<Record<string, string>> = {
  any: 'google.protobuf.Any',
  null: 'null_type',
  timestamp: 'google.protobuf.Timestamp',
  duration: 'google.protobuf.Duration',
}

const simple = Object.fromEntries(
  SIMPLE.map((kind) => [kind, { kind, name: NAMES[kind] ?? kind, parameters: [] }]),
) as unknown as Readonly<Record<SimpleKind, Type>>

export const DYN = simple.dyn
export const ANY = simple.any
export const NULL = simple.null
export const BOOL = simple.bool
export const INT = simple.int
export const UINT = simple.uint
export const DOUBLE = simple.double
export const STRING = simple.string
export const BYTES = simple.bytes
export const TIMESTAMP = simple.timestamp
export const DURATION = simple.duration
export const ERROR: Type = { kind: 'error', name: '*error*', parameters: [] }
export const OPTIONAL = 'optional_type'

export const listOf = (element: Type): Type => ({
  ...{ kind: 'list', name: 'list', parameters: [element] },
})
export const mapOf = (key: Type, value: Type): Type => ({
  ...{ kind: 'map', name: 'map', parameters: [key, value] },
})
export const typeOf = (type: Type): Type => ({
  ...{ kind: 'type', name: 'type', parameters: [type] },
})
export const opaque = (name: string, ...parameters: readonly Type[]): Type => ({
  ...{ kind: 'opaque', name, parameters },
})
export const optionalOf = (type: Type): Type => opaque(OPTIONAL, type)
export const parameter = (name: string): Type => ({ kind: 'parameter', name, parameters: [] })
export const struct = (name: string): Type => ({ kind: 'struct', name, parameters: [] })

const byName: ReadonlyMap<string, Type> = new Map(
  Object.values(simple).map((type) => [type.name, type]),
)

/** The type that `formatType` writes like this; `<A>` is a type parameter. */
export function parseType(text: string): Type {
  const known = byName.get(text)
  if (known !== undefined) return known
  if (text.startsWith('<')) return parameter(text.slice(1, -1))
  const open = text.indexOf('(')
  if (open === -1) return opaque(text)
  const name = text.slice(0, open)
  const parameters = splitTypes(text.slice(open + 1, -1)).map(parseType)
  const [first = DYN, second = DYN] = parameters
  if (name === 'list') return listOf(first)
  if (name === 'map') return mapOf(first, second)
  return name === 'type' ? typeOf(first) : opaque(name, ...parameters)
}

/** Splits at the commas that are not within parentheses. */
export function splitTypes(text: string): string[] {
  if (text === '') return []
  const parts = ['']
  let depth = 0
  for (const character of text) {
    if (character === '(') depth++
    if (character === ')') depth--
    if (character === ',' && depth === 0) parts.push('')
    else parts.push(`${parts.pop() ?? ''}${character}`)
  }
  return parts.map((part) => part.trim())
}

/** The type as cel-go writes it, such as `map(string, int)`. */
export function formatType({ kind, name, parameters }: Type): string {
  if (kind === 'parameter') return `<${name}>`
  return parameters.length === 0 ? name : `${name}(${parameters.map(formatType).join(', ')})`
}

/** Whether two types are equal, parameters included. */
export function isSameType(a: Type, b: Type): boolean {
  return (
    a === b ||
    (a.kind === b.kind &&
      a.name === b.name &&
      a.parameters.length === b.parameters.length &&
      a.parameters.every((type, i) => isSameType(type, parameterOf(b, i))))
  )
}

/** Whether the type is only known at run time. */
export function isDyn({ kind }: Type): boolean {
  return kind === 'dyn' || kind === 'any'
}

/** Whether it is the type of an optional value. */
export function isOptional({ kind, name }: Type): boolean {
  return kind === 'opaque' && name === OPTIONAL
}

/** The type parameter of a type that has it, such as the elements of a list. */
export function parameterOf({ parameters }: Type, index = 0): Type {
  return parameters[index] ?? DYN
}
