/** Whether a value of one type may be used as another, and what type parameters stand for (cel-go checker/types.go). */
import {
  DYN,
  isDyn,
  isSameType,
  listOf,
  mapOf,
  opaque,
  parameterOf,
  typeOf,
  type Kind,
  type Type,
} from './types.ts'

/** What type parameters stand for, by name. */
export type Substitutions = ReadonlyMap<string, Type>
type Mapping = Map<string, Type>

/** The substitutions after which `from` is assignable to `to`; undefined if it is not. */
export function assign(known: Substitutions, from: Type, to: Type): Substitutions | undefined {
  return assignAll(known, [from], [to])
}

/** The same for lists of types of the same length. */
export function assignAll(
  known: Substitutions,
  from: readonly Type[],
  to: readonly Type[],
): Substitutions | undefined {
  const mapping = new Map(known)
  return areAssignable(mapping, from, to) ? mapping : undefined
}

/** Replaces type parameters by what they stand for; with `isFinal`, those that are free by `dyn`. */
export function substitute(known: Substitutions, type: Type, isFinal = false): Type {
  if (type.kind === 'parameter') {
    const found = known.get(type.name)
    if (found !== undefined) return substitute(known, found, isFinal)
    return isFinal ? DYN : type
  }
  if (type.parameters.length === 0) return type
  const parameters = type.parameters.map((inner) => substitute(known, inner, isFinal))
  const [first = DYN, second = DYN] = parameters
  if (type.kind === 'list') return listOf(first)
  if (type.kind === 'map') return mapOf(first, second)
  return type.kind === 'type' ? typeOf(first) : opaque(type.name, ...parameters)
}

/** The more general one of two types, one of which is assignable to the other. */
export function mostGeneral(a: Type, b: Type): Type {
  return isLessSpecific(a, b) ? a : b
}

function isLessSpecific(a: Type, b: Type): boolean {
  if (isDyn(a) || a.kind === 'parameter') return true
  if (isDyn(b) || b.kind === 'parameter' || a.kind !== b.kind) return false
  if (a.kind === 'type') return true
  if (a.parameters.length === 0) return isSameType(a, b)
  return (
    a.name === b.name &&
    a.parameters.length === b.parameters.length &&
    a.parameters.every((type, i) => isLessSpecific(type, parameterOf(b, i)))
  )
}

function areAssignable(mapping: Mapping, from: readonly Type[], to: readonly Type[]): boolean {
  return (
    from.length === to.length && from.every((type, i) => isAssignable(mapping, type, to[i] ?? DYN))
  )
}

function isAssignable(mapping: Mapping, a: Type, b: Type): boolean {
  if (b.kind === 'parameter') {
    const { isValid, isKnown } = trySubstitution(mapping, a, b)
    if (isValid) return true
    if (isKnown) return false
  }
  if (a.kind === 'parameter') return trySubstitution(mapping, b, a).isValid
  if (isWild(a) || isWild(b)) return true
  if (a.kind === 'null') return isNullable(b)
  if (b.kind === 'null') return isNullable(a)
  if (a.kind === 'type') return b.kind === 'type'
  return (
    a.kind === b.kind && a.name === b.name && areAssignable(mapping, a.parameters, b.parameters)
  )
}

function isWild(type: Type): boolean {
  return isDyn(type) || type.kind === 'error'
}

const NULLABLE: ReadonlySet<Kind> = new Set(['null', 'opaque', 'struct', 'duration', 'timestamp'])

function isNullable({ kind }: Type): boolean {
  return NULLABLE.has(kind)
}

/** Whether the parameter `b` may stand for `a`, and whether it stood for something before. */
function trySubstitution(
  mapping: Mapping,
  a: Type,
  b: Type,
): { readonly isValid: boolean; readonly isKnown: boolean } {
  if (a.kind === b.kind && isSameType(a, b)) return { isValid: true, isKnown: true }
  const known = b.kind === 'parameter' ? mapping.get(b.name) : undefined
  if (known !== undefined) {
    if (isSameType(a, known)) return { isValid: true, isKnown: true }
    if (!isAssignable(mapping, a, known)) return { isValid: false, isKnown: true }
    const general = mostGeneral(a, known)
    if (!occursIn(mapping, b, general)) mapping.set(b.name, general)
    return { isValid: true, isKnown: true }
  }
  if (occursIn(mapping, b, a)) return { isValid: false, isKnown: false }
  mapping.set(b.name, a)
  return { isValid: true, isKnown: false }
}

function occursIn(mapping: Mapping, type: Type, within: Type): boolean {
  if (isSameType(type, within)) return true
  if (within.kind === 'parameter') {
    const known = mapping.get(within.name)
    return known !== undefined && occursIn(mapping, type, known)
  }
  return within.parameters.some((inner) => occursIn(mapping, type, inner))
}
