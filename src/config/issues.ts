/** What a schema found wrong, in an operator's words: where, what, and what to write instead. */
import { z } from 'zod'

import { valueAt, type Path } from './path.ts'

export interface DescribedIssue {
  readonly path: Path
  readonly message: string
  readonly fix: string
}

type Issue = z.core.$ZodIssue

/**
 * Translates issues. The fix is the `fix` parameter of a custom issue, else what the schema's
 * description says of the field, else its known fields.
 */
export function describeIssues(
  issues: readonly Issue[],
  schema: z.ZodType,
  raw: unknown,
): DescribedIssue[] {
  return issues.flatMap((issue) => describeIssue(issue, schema, raw))
}

function describeIssue(issue: Issue, schema: z.ZodType, raw: unknown): DescribedIssue[] {
  const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)))
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = knownKeys(schemaAt(schema, path))
      return issue.keys.map((key) => ({
        path: [...path, key],
        message: 'unknown field',
        fix: unknownMend(key, known),
      }))
    }
    case 'invalid_union': {
      const deepest = issue.errors.toSorted((a, b) => depth(b) - depth(a))[0] ?? []
      if (depth(deepest) > 0) {
        return deepest.flatMap((inner) =>
          describeIssue({ ...inner, path: [...issue.path, ...inner.path] }, schema, raw),
        )
      }
      return [{ path, message: 'is of the wrong form', fix: mendFor(schema, path) }]
    }
    case 'custom': {
      const fix: unknown = issue.params?.['fix']
      const text = typeof fix === 'string' ? fix : mendFor(schema, path)
      return [{ path, message: issue.message, fix: text }]
    }
    case 'invalid_value':
      return [{ path, ...describeChoice(issue.values.map(String), valueAt(raw, path)) }]
    default:
      return [{ path, message: messageOf(issue, path, raw), fix: mendFor(schema, path) }]
  }
}

/** A value that is none of those there are: they are told once, the one that was meant beside them. */
function describeChoice(choices: readonly string[], value: unknown): Omit<DescribedIssue, 'path'> {
  const [only = ''] = choices
  const fix =
    choices.length === 1
      ? `write ${only}`
      : `one of: ${choices.map((choice) => (choice === '' ? '""' : choice)).join(', ')}`
  if (value === undefined) return { message: 'is required', fix }
  if (value === null) return { message: 'has no value', fix }
  const told = JSON.stringify(value)
  const message = choices.length === 1 ? `${told} is not supported` : `${told} is no choice`
  const near = choices.length > 1 && typeof value === 'string' ? nearest(value, choices) : undefined
  return { message, fix: near === undefined ? fix : `did you mean ${near}? ${fix}` }
}

function depth(issues: readonly Issue[]): number {
  return Math.max(0, ...issues.map(({ path }) => path.length))
}

function messageOf(issue: Issue, path: Path, raw: unknown): string {
  const value = valueAt(raw, path)
  if (issue.code === 'invalid_type' && value === undefined) return 'is required'
  if (issue.code === 'invalid_type' && value === null) return 'has no value'
  const text = boundOf(issue) ?? issue.message.replace(/^Invalid input: /, '')
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? `${JSON.stringify(value)}: ${text}`
    : text
}

/** A bound that was passed, where the schema has no words of its own for it. */
function boundOf(issue: Issue): string | undefined {
  if (issue.code !== 'too_big' && issue.code !== 'too_small') return undefined
  if (!issue.message.startsWith('Too ')) return undefined
  const isInclusive = issue.inclusive !== false
  const bound =
    issue.code === 'too_big'
      ? `${isInclusive ? 'at most' : 'less than'} ${issue.maximum}`
      : `${isInclusive ? 'at least' : 'more than'} ${issue.minimum}`
  const unit = { string: 'characters', array: 'items' }[String(issue.origin)]
  return unit === undefined ? `must be ${bound}` : `must have ${bound} ${unit}`
}

function mendFor(schema: z.ZodType, path: Path): string {
  const at = schemaAt(schema, path)
  const description = at === undefined ? undefined : descriptionOf(at)
  if (description !== undefined) return howToWrite(description)
  const known = knownKeys(at)
  if (known.length > 0) return `fields are: ${known.join(', ')}`
  // Items of a list are often described by it.
  return typeof path.at(-1) === 'number'
    ? mendFor(schema, path.slice(0, -1))
    : 'see the annotated example'
}

/** Descriptions say what a field is for and, behind a ";", how it is written. */
function howToWrite(description: string): string {
  const semicolon = description.indexOf('; ')
  return semicolon < 0 ? description : description.slice(semicolon + 2)
}

function unknownMend(key: string, known: readonly string[]): string {
  const near = nearest(key, known)
  if (near !== undefined) return `did you mean ${near}?`
  return known.length === 0 ? 'remove it' : `remove it; fields are: ${known.join(', ')}`
}

function nearest(word: string, known: readonly string[]): string | undefined {
  return known.find((candidate) => isNear(candidate.toLowerCase(), word.toLowerCase()))
}

/** One edit apart: a letter more, less, or another; or two swapped. */
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

/** The schema of a field, seen through defaults, optionality and transformations. */
function schemaAt(schema: z.ZodType, path: Path): z.ZodType | undefined {
  let at: z.ZodType | undefined = schema
  for (const part of path) {
    const bare: z.ZodType | undefined = at === undefined ? undefined : unwrap(at)
    if (bare instanceof z.ZodObject) {
      at = (bare.shape as Record<string, z.ZodType | undefined>)[String(part)]
    } else if (bare instanceof z.ZodArray) at = bare.element as z.ZodType
    else return undefined
  }
  return at
}

function unwrap(schema: z.ZodType): z.ZodType {
  const inner = unwrapOnce(schema)
  return inner === undefined ? schema : unwrap(inner)
}

function unwrapOnce(schema: z.ZodType): z.ZodType | undefined {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  ) {
    return schema.unwrap() as z.ZodType
  }
  return schema instanceof z.ZodPipe ? (schema.in as z.ZodType) : undefined
}

function descriptionOf(schema: z.ZodType): string | undefined {
  if (schema.description !== undefined) return schema.description
  const inner = unwrapOnce(schema)
  return inner === undefined ? undefined : descriptionOf(inner)
}

function knownKeys(schema: z.ZodType | undefined): readonly string[] {
  const bare = schema === undefined ? undefined : unwrap(schema)
  return bare instanceof z.ZodObject ? Object.keys(bare.shape) : []
}
