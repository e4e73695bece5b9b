/** What expressions can name: variables, types and functions, as in Kubernetes 1.36 (apiserver pkg/cel/environment). */
import type { Environment } from './checker.ts'
import { conversions } from './functions/conversions.ts'
import { durationArithmetic, durationUnits } from './functions/durations.ts'
import { lists } from './functions/lists.ts'
import { networks } from './functions/networks.ts'
import { operators } from './functions/operators.ts'
import { optionals } from './functions/optionals.ts'
import { regularExpressions } from './functions/regular-expressions.ts'
import { strings } from './functions/strings.ts'
import { timestamps } from './functions/timestamps.ts'
import { unsupported } from './functions/unsupported.ts'
import { urls } from './functions/urls.ts'
import { versions } from './functions/versions.ts'
import { createFunctions, typeIdentifiers } from './library.ts'
import { DYN, listOf, mapOf, opaque, optionalOf, parseType, struct, type Type } from './types.ts'

/** In this order, since the first overload that fits decides which type an argument has whose type is open. */
const functions = createFunctions([
  ...[operators, conversions, durationArithmetic, timestamps, durationUnits, lists, strings],
  ...[regularExpressions, optionals, urls, networks, unsupported, versions],
])

const types = typeIdentifiers([
  ...['bool', 'bytes', 'double', 'int', 'null_type', 'string', 'uint'].map(parseType),
  ...['google.protobuf.Duration', 'google.protobuf.Timestamp'].map(parseType),
  ...['net.IP', 'net.CIDR', 'kubernetes.URL', 'kubernetes.Quantity', 'kubernetes.Semver'].map(
    (name) => opaque(name),
  ),
  ...[listOf(DYN), mapOf(DYN, DYN), optionalOf(DYN), parseType('type(dyn)')],
])

/** The type of a variable as `formatType` writes it, or the name of a message and the types of its fields. */
export type VariableType =
  string | { readonly message: string; readonly fields: Readonly<Record<string, string>> }

/** Creates an environment, in which expressions can name these variables. */
export function createEnvironment(variables: Readonly<Record<string, VariableType>>): Environment {
  const fields = new Map<string, ReadonlyMap<string, Type>>()
  const declared = Object.entries(variables).map(([name, type]) => {
    if (typeof type === 'string') return [name, parseType(type)] as const
    const entries = Object.entries(type.fields).map(([field, text]) => {
      return [field, parseType(text)] as const
    })
    fields.set(type.message, new Map(entries))
    return [name, struct(type.message)] as const
  })
  return { variables: new Map(declared), types, functions, fields }
}
