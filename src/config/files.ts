/**
 * A document whose schema marks fields as files (`inputFile`, `outputFile`): each such field is
 * resolved relative to the document, checked, and reported with its place. There is no list of these
 * fields: the schema is walked.
 */
import { dirname, resolve } from 'node:path'

import type { z } from 'zod'

import { readDocument, type DocumentReading } from './document.ts'
import { fileUseOf, type FileUse } from './fields.ts'
import { unreadable, unwritable } from './file-access.ts'
import { fieldName, parseFieldName, valueAt, type Path } from './path.ts'
import type { ConfigProblem } from './problem.ts'
import { ITEM, members, schemaAt } from './schema-walk.ts'

/** The absolute path in a field, whether or not the rest of the document is valid. */
export type FileAt = (field: Path) => string | undefined

/** `value` has absolute paths in its file fields; `problems` includes those of the files. */
export interface FilesReading<T> extends DocumentReading<T> {
  /** Returns the file only if it exists and can be used. */
  readonly fileAt: FileAt
  /** Every file to be read that exists and can be read. */
  readonly inputFiles: readonly string[]
  /**
   * Gives a problem of a whole file the place where the document names that file; other problems stay
   * as they are.
   */
  readonly place: (problem: ConfigProblem) => ConfigProblem
}

/** Reads and checks a document and looks at the files it names; never throws. */
export function readWithFiles<S extends z.ZodType>(
  file: string,
  schema: S,
): FilesReading<z.output<S>> {
  const reading = readDocument(file, schema)
  const { raw, value } = reading
  const directory = dirname(file)
  const fields = fileFields(schema, raw)
  const named: FileAt = (field) => {
    const name = valueAt(raw, field)
    return typeof name === 'string' && name !== '' ? resolve(directory, name) : undefined
  }
  const fileProblems = fields.flatMap(({ path, use }) => {
    const name = named(path)
    const fault = name === undefined ? undefined : faultOf(name, use)
    return fault === undefined ? [] : [reading.problem(path, ...fault)]
  })
  const unusable = new Set(fileProblems.map(({ field }) => field))
  const fileAt: FileAt = (field) => (unusable.has(fieldName(field)) ? undefined : named(field))
  const inputs = fields.filter(({ use }) => use.use === 'read')
  return {
    ...reading,
    value:
      value === undefined || fileProblems.length > 0
        ? undefined
        : withAbsolutePaths(value, schema, directory),
    problems: [...reading.problems, ...fileProblems],
    fileAt,
    inputFiles: inputs.flatMap(({ path }) => fileAt(path) ?? []),
    place: (problem) => {
      if (problem.line !== undefined) return problem
      const path =
        problem.field === ''
          ? inputs.find((field) => named(field.path) === problem.file)?.path
          : parseFieldName(problem.field)
      if (path === undefined || schemaAt(schema, path) === undefined) return problem
      return reading.problem(path, `${problem.file} ${problem.message}`, problem.fix)
    },
  }
}

/** The files that a part of a document names, by the marks in the schema of that part. */
export function filesNamedIn(schema: z.ZodType, value: unknown): readonly string[] {
  return fileFields(schema, value).map(({ path }) => valueAt(value, path) as string)
}

interface FileField {
  readonly path: Path
  readonly use: FileUse
}

/** The fields of `raw` that name files by the marks of the schema, those in lists included. */
function fileFields(schema: z.ZodType, raw: unknown, path: Path = []): readonly FileField[] {
  if (raw === undefined) return []
  const use = fileUseOf(schema)
  if (use !== undefined) return [{ path, use }]
  return members(schema).flatMap(([name, member]) => {
    if (name !== ITEM) return fileFields(member, valueAt(raw, [name]), [...path, name])
    const items: readonly unknown[] = Array.isArray(raw) ? raw : []
    return items.flatMap((item, i) => fileFields(member, item, [...path, i]))
  })
}

/** The message names the file. */
function faultOf(file: string, { use }: FileUse): readonly [string, string] | undefined {
  if (use === 'written') return unwritable(file)
  const fault = unreadable(file)
  return fault && [`${file} ${fault[0]}`, fault[1]]
}

function withAbsolutePaths<T>(value: T, schema: z.ZodType, directory: string): T {
  const copy = structuredClone(value)
  for (const { path } of fileFields(schema, copy)) {
    const holder = valueAt(copy, path.slice(0, -1)) as Record<string | number, string>
    const name = path.at(-1) ?? ''
    holder[name] = resolve(directory, holder[name] ?? '')
  }
  return copy
}
