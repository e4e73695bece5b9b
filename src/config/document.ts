/**
 * Reads the administrator's YAML and JSON files strictly: unknown fields, duplicate keys, wrong types
 * and further documents are problems, each with its line, and all are reported together.
 */
import { resolve } from 'node:path'

import { z } from 'zod'

import { describeIssues } from './issues.ts'
import { fieldName } from './path.ts'
import { parseWithPositions, type PositionedDocument, type Source } from './positioned-yaml.ts'
import { ConfigError, fileProblem, WHOLE_FILE, type ConfigProblem } from './problem.ts'
import { parseQuickly } from './quick-yaml.ts'
import { readText } from './read-text.ts'

export type { Source } from './positioned-yaml.ts'

// Without zod's JIT no text is ever evaluated as code in this process. A schema is used once per load,
// so generated code would not pay off either.
z.config({ jitless: true })

export interface LoadedDocument<T> extends Source {
  readonly value: T
}

/** A document that was read, valid or not: `value` is undefined if there are problems. */
export interface DocumentReading<T> extends Source {
  readonly value: T | undefined
  /** The bare data, for checks across fields whose problems are reported together with these. */
  readonly raw: unknown
  readonly problems: readonly ConfigProblem[]
}

/**
 * Reads and checks a file.
 *
 * @throws ConfigError with every problem found
 */
export function loadDocument<S extends z.ZodType>(
  file: string,
  schema: S,
): LoadedDocument<z.output<S>> {
  const reading = readDocument(file, schema)
  if (reading.value === undefined) throw new ConfigError(reading.problems)
  return { ...reading, value: reading.value }
}

/** Like `loadDocument`, but never throws: a missing file is a problem like others. */
export function readDocument<S extends z.ZodType>(
  file: string,
  schema: S,
): DocumentReading<z.output<S>> {
  const problems: ConfigProblem[] = []
  // Absolute: a wrong path is often one that is relative to another directory than expected.
  const named = resolve(file)
  const text = readText(file, (message, fix) => problems.push(fileProblem(named, message, fix)))
  return text === undefined ? unread(named, problems) : parseDocument(file, text, schema)
}

/** Checks a text; `file` is only for the problems. */
function parseDocument<S extends z.ZodType>(
  file: string,
  text: string,
  schema: S,
): DocumentReading<z.output<S>> {
  const raw = parseQuickly(text)
  const result = raw === undefined ? undefined : schema.safeParse(raw)
  if (result?.success === true) {
    return { ...lazySource(file, text), raw, value: result.data, problems: [] }
  }
  return checkWithPositions(parseWithPositions(file, text), schema)
}

function checkWithPositions<S extends z.ZodType>(
  { source, raw, problems: found, isReadable }: PositionedDocument,
  schema: S,
): DocumentReading<z.output<S>> {
  if (!isReadable) return { ...source, raw, value: undefined, problems: found }
  const problems = [...found]
  const result = schema.safeParse(raw)
  if (!result.success) {
    for (const { path, message, fix } of describeIssues(result.error.issues, schema, raw)) {
      problems.push(source.problem(path, message, fix))
    }
  }
  const value = result.success && problems.length === 0 ? result.data : undefined
  return { ...source, raw, value, problems }
}

/** Parses the text again when a place is needed, for a warning or a problem across fields. */
function lazySource(file: string, text: string): Source {
  let parsed: Source | undefined
  const source = (): Source => (parsed ??= parseWithPositions(file, text).source)
  return {
    file,
    locate: (path) => source().locate(path),
    problem: (path, message, fix) => source().problem(path, message, fix),
  }
}

function unread(file: string, problems: readonly ConfigProblem[]): DocumentReading<never> {
  return {
    file,
    raw: undefined,
    value: undefined,
    problems,
    locate: () => WHOLE_FILE,
    problem: (path, message, fix) => fileProblem(file, message, fix, fieldName(path)),
  }
}
