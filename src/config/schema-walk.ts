/** What a zod schema says of its fields: seen through defaults, optionality and transformations. */
import { z } from 'zod'

import type { Path } from './path.ts'

/** The schema underneath `optional`, `default`, `prefault` and transformations. */
export function unwrap(schema: z.ZodType): z.ZodType {
  const inner = unwrapOnce(schema)
  return inner === undefined ? schema : unwrap(inner)
}

/** The layer directly underneath; undefined when there is none. */
export function unwrapOnce(schema: z.ZodType): z.ZodType | undefined {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  ) {
    return schema.unwrap() as z.ZodType
  }
  if (!(schema instanceof z.ZodPipe)) return undefined
  // Of `preprocess`, the second half describes the data.
  return (schema.in instanceof z.ZodTransform ? schema.out : schema.in) as z.ZodType
}

/** The first value that `read` gives for the schema or one of the layers underneath it. */
export function firstOfLayers<T>(
  schema: z.ZodType,
  read: (layer: z.ZodType) => T | undefined,
): T | undefined {
  const value = read(schema)
  if (value !== undefined) return value
  const inner = unwrapOnce(schema)
  return inner === undefined ? undefined : firstOfLayers(inner, read)
}

/** The schema of a field; undefined when the path leads to no field. */
export function schemaAt(schema: z.ZodType, path: Path): z.ZodType | undefined {
  let at: z.ZodType | undefined = schema
  for (const part of path) {
    at = at === undefined ? undefined : members(at).find(([name]) => name === key(part))?.[1]
  }
  return at
}

/** The names of an object's fields; none for other schemas. */
export function fieldNames(schema: z.ZodType): readonly string[] {
  const bare = unwrap(schema)
  return bare instanceof z.ZodObject ? Object.keys(bare.shape) : []
}

/** In place of an index, for the items of a list. */
export const ITEM = '[]'

/** The fields of an object by name, or the items of a list as `ITEM`. */
export function members(schema: z.ZodType): readonly (readonly [string, z.ZodType])[] {
  const bare = unwrap(schema)
  if (bare instanceof z.ZodObject) return Object.entries(bare.shape)
  return bare instanceof z.ZodArray ? [[ITEM, bare.element as z.ZodType]] : []
}

const LEAVES = new Set(['string', 'number', 'boolean', 'enum', 'literal', 'unknown'])

/**
 * Calls `visit` for the schema and for every field in it, parents first.
 *
 * @throws TypeError for a kind of schema whose parts are not visited (union, record, …), so that no
 *   field is missed
 */
export function walkSchema(
  schema: z.ZodType,
  visit: (path: readonly string[], field: z.ZodType) => void,
  path: readonly string[] = [],
): void {
  visit(path, schema)
  const { type } = unwrap(schema).def
  if (type !== 'object' && type !== 'array' && !LEAVES.has(type)) {
    throw new TypeError(`schema of kind ${type} at ${path.join('.')}: its fields cannot be walked`)
  }
  for (const [name, member] of members(schema)) walkSchema(member, visit, [...path, name])
}

function key(part: string | number): string {
  return typeof part === 'number' ? ITEM : part
}

/**
 * A description has two parts with "; " between them: what the field means, and how its value is
 * written. Either part may be missing.
 */
export interface Description {
  readonly meaning: string | undefined
  readonly form: string | undefined
}

/** The description of a field, in its parts. */
export function descriptionOf(schema: z.ZodType): Description {
  const text = firstOfLayers(schema, (layer) => layer.description)
  const separator = text?.indexOf('; ') ?? -1
  return text === undefined || separator < 0
    ? { meaning: text, form: undefined }
    : { meaning: text.slice(0, separator), form: text.slice(separator + 2) }
}

const FORMS: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
}

/** How a value of this type is written; undefined for types without a form of their own. */
export function typeForm(schema: z.ZodType): string | undefined {
  const bare = unwrap(schema)
  if (bare instanceof z.ZodEnum) return oneOf(bare.options.map(String))
  if (bare instanceof z.ZodLiteral) return oneOf([...bare.values].map(String))
  if (bare instanceof z.ZodArray) {
    return unwrap(bare.element as z.ZodType) instanceof z.ZodString ? 'a list of strings' : 'a list'
  }
  return FORMS[bare.def.type]
}

function oneOf(values: readonly string[]): string {
  return values.length === 1 ? String(values[0]) : `one of: ${values.join(', ')}`
}
