/** Turns the issues of a schema into problems for the administrator: where, what, and the fix. */
import type { z } from 'zod'

import { valueAt, type Path } from './path.ts'
import { descriptionOf, fieldNames, schemaAt, typeForm } from './schema-walk.ts'

export interface DescribedIssue {
  readonly path: Path
  readonly message: string
  readonly fix: string
}

type Issue = z.core.$ZodIssue

/**
 * Translates issues. The fix is the `fix` parameter of a custom issue, else the form in the schema's
 * description of the field, else its known fields, else its type.
 */
export function describeIssues(
  issues: readonly Issue[],
  schema: z.ZodType,
  raw: unknown,
): DescribedIssue[] {
  // For a value of the wrong type, zod also reports the limits that it violates.
  const wrong = new Set(issues.filter(({ code }) => code === 'invalid_type').map(pathKey))
  return issues
    .filter((issue) => issue.code === 'invalid_type' || !wrong.has(pathKey(issue)))
    .flatMap((issue) => describeIssue(issue, schema, raw))
}

function pathKey({ path }: Issue): string {
  return JSON.stringify(path)
}

function describeIssue(issue: Issue, schema: z.ZodType, raw: unknown): DescribedIssue[] {
  const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)))
  switch (issue.code) {
    case 'unrecognized_keys': {
      const at = schemaAt(schema, path)
      const known = at === undefined ? [] : fieldNames(at)
      return issue.keys.map((key) => ({
        path: [...path, key],
        message: 'unknown field',
        fix: unknownFieldFix(key, known),
      }))
    }
    case 'invalid_union': {
      const deepest = issue.errors.toSorted((a, b) => depth(b) - depth(a))[0] ?? []
      if (depth(deepest) > 0) {
        return deepest.flatMap((inner) =>
          describeIssue({ ...inner, path: [...issue.path, ...inner.path] }, schema, raw),
        )
      }
      return [{ path, message: 'has the wrong form', fix: fixFor(schema, path) }]
    }
    case 'custom': {
      const fix: unknown = issue.params?.['fix']
      const text = typeof fix === 'string' ? fix : fixFor(schema, path)
      return [{ path, message: issue.message, fix: text }]
    }
    case 'invalid_value':
      return [{ path, ...describeChoice(issue.values.map(String), valueAt(raw, path)) }]
    default:
      return [{ path, message: messageOf(issue, valueAt(raw, path)), fix: fixFor(schema, path) }]
  }
}

/** A value that is not one of the valid ones; the fix lists them, the nearest one first. */
function describeChoice(choices: readonly string[], value: unknown): Omit<DescribedIssue, 'path'> {
  const [only = ''] = choices
  const fix =
    choices.length === 1
      ? `must be ${only}`
      : `must be one of: ${choices.map((choice) => (choice === '' ? '""' : choice)).join(', ')}`
  if (value === undefined) return { message: 'is required', fix }
  if (value === null) return { message: 'has no value', fix }
  const shown = JSON.stringify(value)
  const message =
    choices.length === 1 ? `${shown} is not supported` : `${shown} is not a valid value`
  const near = choices.length > 1 && typeof value === 'string' ? nearest(value, choices) : undefined
  return { message, fix: near === undefined ? fix : `did you mean ${near}? ${fix}` }
}

function depth(issues: readonly Issue[]): number {
  return Math.max(0, ...issues.map(({ path }) => path.length))
}

/** A statement whose subject is the value, which is shown where that is useful. */
function messageOf(issue: Issue, value: unknown): string {
  if (issue.code === 'invalid_type') return wrongType(issue, value)
  const own = issue.message.startsWith('Invalid ') ? 'is not valid' : issue.message
  const text = limitOf(issue, value) ?? own
  const isShown =
    typeof value === 'number' || (typeof value === 'string' && /^.{1,100}$/.test(value))
  return isShown ? `${JSON.stringify(value)} ${text}` : text
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  boolean: 'a boolean',
  object: 'a mapping',
}

function wrongType({ expected }: z.core.$ZodIssueInvalidType, value: unknown): string {
  if (value === undefined) return 'is required'
  if (value === null) return 'has no value'
  if (expected === 'int' && typeof value === 'number') return `${value} is not a whole number`
  const type = Array.isArray(value) ? 'a list' : (TYPES[typeof value] ?? `a ${typeof value}`)
  return typeof value === 'object' ? `is ${type}` : `${JSON.stringify(value)} is ${type}`
}

/** Which limit a value violates, where the schema has no message of its own for it. */
function limitOf(issue: Issue, value: unknown): string | undefined {
  if (issue.code !== 'too_big' && issue.code !== 'too_small') return undefined
  if (!issue.message.startsWith('Too ')) return undefined
  const isTooBig = issue.code === 'too_big'
  const limit = isTooBig ? issue.maximum : issue.minimum
  if (typeof value !== 'number') return sizeLimit(isTooBig, limit, Array.isArray(value))
  if (issue.inclusive === false) return `is not ${isTooBig ? 'less' : 'greater'} than ${limit}`
  return `is ${isTooBig ? 'greater' : 'less'} than ${limit}`
}

function sizeLimit(isTooBig: boolean, limit: number | bigint, isList: boolean): string {
  if (!isTooBig && limit === 1) return 'is empty'
  return `has ${isTooBig ? 'more' : 'fewer'} than ${limit} ${isList ? 'items' : 'characters'}`
}

function fixFor(schema: z.ZodType, path: Path): string {
  const at = schemaAt(schema, path)
  if (at !== undefined) {
    const { meaning, form } = descriptionOf(at)
    if (form !== undefined) return form
    const known = fieldNames(at)
    if (known.length > 0) return `must be a mapping with the fields ${known.join(', ')}`
    if (meaning !== undefined) return meaning
  }
  // The items of a list are often described by the list.
  if (typeof path.at(-1) === 'number') return fixFor(schema, path.slice(0, -1))
  const form = at === undefined ? undefined : typeForm(at)
  return form === undefined ? 'see the documentation of this field' : `must be ${form}`
}

function unknownFieldFix(key: string, known: readonly string[]): string {
  const near = nearest(key, known)
  if (near !== undefined) return `did you mean ${near}?`
  return known.length === 0 ? 'remove it' : `remove it; the fields are: ${known.join(', ')}`
}

/** The known word that is at most one edit away; case does not matter. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  return known.find((candidate) => isNear(candidate.toLowerCase(), word.toLowerCase()))
}

/** At most one edit apart: a letter added, removed or replaced, or letters in another order. */
function isNear(a: string, b: string): boolean {
  if (a === b || sortedLetters(a) === sortedLetters(b)) return true
  const [short, long] = a.length <= b.length ? [a, b] : [b, a]
  if (long.length - short.length > 1) return false
  let at = 0
  while (at < short.length && short[at] === long[at]) at++
  const rest = short.slice(short.length === long.length ? at + 1 : at)
  return rest === long.slice(at + 1)
}

function sortedLetters(word: string): string {
  return Array.from(word).sort().join('')
}
