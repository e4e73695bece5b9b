/** Functions that expressions may call, and how their overloads are declared. */
import type { Meter } from './meter.ts'
import { DYN, parameterOf, parseType, splitTypes, typeOf, type Type } from './types.ts'
import { isMap, List, typeName, type Value } from './values.ts'

/**
 * Computes the result; the arguments are of the types that the signature names, the receiver first.
 *
 * @throws CelValueError when there is no result
 */
export type Implementation = (meter: Meter, ...args: never[]) => Value

/**
 * A signature as `string, int -> string`, with a dot before it if the first type is the receiver. An
 * overload without an implementation is one that Kubernetes has and Gatehouse does not support.
 */
export type Declaration = readonly [
  signature: string,
  implementation?: Implementation,
  options?: {
    /** Lists may have elements of other types at run time than the signature says. */
    readonly takesAnyList: boolean
  },
]

/** Overloads by the name of the function, in the order in which they are tried. */
export type Library = Readonly<Record<string, readonly Declaration[]>>

export interface Overload {
  readonly isMember: boolean
  readonly parameters: readonly Type[]
  readonly result: Type
  /** Names of the types that may be any, each the same wherever it stands in the signature. */
  readonly typeParameters: readonly string[]
  readonly implementation: Implementation | undefined
  readonly takesAnyList: boolean
}

export interface Functions {
  /** All, by name. */
  [Symbol.iterator](): Iterator<[string, readonly Overload[]]>
  /** The overloads of a function; undefined if there is no function with this name. */
  get(name: string): readonly Overload[] | undefined
}

/** Joins libraries; a function may have overloads in several of them. */
export function createFunctions(libraries: readonly Library[]): Functions {
  const functions = new Map<string, Overload[]>()
  for (const [name, declarations] of libraries.flatMap((library) => Object.entries(library))) {
    const known = functions.get(name) ?? []
    functions.set(name, [...known, ...declarations.map(toOverload)])
  }
  return functions
}

function toOverload([signature, implementation, options]: Declaration): Overload {
  const isMember = signature.startsWith('.')
  const [parameters = '', result = ''] = signature.slice(isMember ? 1 : 0).split('->')
  const names = Array.from(signature.matchAll(/<(\w+)>/g), ([, name = '']) => name)
  return {
    isMember,
    parameters: splitTypes(parameters.trim()).map(parseType),
    result: parseType(result.trim()),
    typeParameters: [...new Set(names)],
    implementation,
    takesAnyList: options?.takesAnyList === true,
  }
}

/** Whether values are of the types of an overload, as far as values show them. */
export function accepts({ parameters, takesAnyList }: Overload, args: readonly Value[]): boolean {
  return (
    parameters.length === args.length &&
    args.every((arg, i) => {
      const type = parameters[i] ?? DYN
      return takesAnyList && arg instanceof List ? type.kind === 'list' : isOfType(arg, type)
    })
  )
}

/** Of a list or map, the first element shows the type of all. */
function isOfType(value: Value, type: Type): boolean {
  if (isAnyType(type)) return true
  if (type.name !== typeName(value)) return false
  if (value instanceof List) {
    const [item] = value.items
    return item === undefined || isOfType(item, parameterOf(type))
  }
  if (!isMap(value)) return true
  const [entry] = value.entries()
  return (
    entry === undefined ||
    (isOfType(entry[0], parameterOf(type)) && isOfType(entry[1], parameterOf(type, 1)))
  )
}

function isAnyType({ kind }: Type): boolean {
  return kind === 'dyn' || kind === 'any' || kind === 'parameter'
}

/** Types that expressions can name, as in `type(x) == string`. */
export function typeIdentifiers(types: readonly Type[]): ReadonlyMap<string, Type> {
  return new Map(types.map((type) => [type.name, typeOf(type)]))
}
