/**
 * YAML and JSON files that operators own, read strictly: unknown fields, duplicate keys, wrong types
 * and more than one document are problems, each with its line, and all are reported together.
 */
import { resolve } from 'node:path'

import { isMap, isNode, isPair, isSeq, LineCounter, parseDocument as parseYaml, visit } from 'yaml'
import type { Document, Pair } from 'yaml'
import { z } from 'zod'

import { describeIssues } from './issues.ts'
import { fieldName, type Path } from './path.ts'
import { ConfigError, fileProblem, WHOLE_FILE, type ConfigProblem, type Place } from './problem.ts'
import { readText } from './read-text.ts'
import { isReadable, syntaxProblem, withoutFollowers } from './syntax.ts'

// A schema is used once at each load: code made for it at run time would take longer than it saves, and
// without it no text ever becomes code in this process.
z.config({ jitless: true })

/** Knows where each field of one file stands. */
export interface Source {
  readonly file: string
  /** The field's place, or that of the innermost part of it that is there. */
  locate(path: Path): Place
  problem(path: Path, message: string, fix: string): ConfigProblem
}

export interface LoadedDocument<T> extends Source {
  readonly value: T
}

/** What was read, good or not: `value` is there only without problems. */
export interface DocumentReading<T> extends Source {
  readonly value: T | undefined
  /** The bare data, for checks across fields that are to be reported with the rest. */
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

/** As `loadDocument`, without throwing: a missing file is a problem like others. */
export function readDocument<S extends z.ZodType>(
  file: string,
  schema: S,
): DocumentReading<z.output<S>> {
  const problems: ConfigProblem[] = []
  // Absolute: a path that leads nowhere is often relative to another directory than was thought.
  const named = resolve(file)
  const text = readText(file, (message, fix) => problems.push(fileProblem(named, message, fix)))
  return text === undefined ? unread(named, problems) : parseDocument(file, text, schema)
}

/** Checks a text as if it stood in `file`. */
function parseDocument<S extends z.ZodType>(
  file: string,
  text: string,
  schema: S,
): DocumentReading<z.output<S>> {
  const lines = new LineCounter()
  const document = parseYaml(text, {
    lineCounter: lines,
    prettyErrors: false,
    strict: true,
    uniqueKeys: true,
    version: '1.2',
  })
  const source = createSource(file, document, lines)
  const aliases = unresolvedAliases(file, document, lines)
  const errors = withoutFollowers(document.errors)
  const problems = [...errors.map((error) => syntaxProblem(file, text, error, lines)), ...aliases]
  if (aliases.length > 0 || !errors.every(isReadable)) {
    return { ...source, raw: undefined, value: undefined, problems }
  }

  let raw: unknown
  try {
    raw = document.toJS({ maxAliasCount: 100 })
  } catch (error) {
    const problem = source.problem([], (error as Error).message, 'write it out without aliases')
    return { ...source, raw: undefined, value: undefined, problems: [...problems, problem] }
  }
  const result = schema.safeParse(raw)
  if (!result.success) {
    for (const { path, message, fix } of describeIssues(result.error.issues, schema, raw)) {
      problems.push(source.problem(path, message, fix))
    }
  }
  const value = result.success && problems.length === 0 ? result.data : undefined
  return { ...source, raw, value, problems }
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

function unresolvedAliases(file: string, document: Document, lines: LineCounter): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) !== undefined) return
      const { line, col } = lines.linePos(alias.range?.[0] ?? 0)
      const message = `*${alias.source} stands for nothing: no &${alias.source} stands before it`
      const fix = 'write the value out, or quote what begins with "*"'
      problems.push({ file, line, column: col, field: '', message, fix })
    },
  })
  return problems
}

function createSource(file: string, document: Document, lines: LineCounter): Source {
  const locate = (path: Path): Place => {
    const offset = offsetOf(document, path)
    if (offset === undefined) return { line: 1, column: 1 }
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  return {
    file,
    locate,
    problem: (path, message, fix) => ({
      file,
      ...locate(path),
      field: fieldName(path),
      message,
      fix,
    }),
  }
}

/** The key of a field, or the item of a list; of a path that leads nowhere the last part found. */
function offsetOf(document: Document, path: Path): number | undefined {
  let node: unknown = document.contents
  let offset = isNode(node) ? node.range?.[0] : undefined
  for (const part of path) {
    const next = step(node, part)
    if (next === undefined) break
    offset = next.offset ?? offset
    node = next.node
  }
  return offset
}

function step(
  node: unknown,
  part: string | number,
): { readonly node: unknown; readonly offset: number | undefined } | undefined {
  if (isMap(node)) {
    const pair = node.items.find((item) => isPair(item) && keyOf(item) === String(part))
    if (pair === undefined) return undefined
    return { node: pair.value, offset: isNode(pair.key) ? pair.key.range?.[0] : undefined }
  }
  if (isSeq(node) && typeof part === 'number') {
    const item = node.items[part]
    return item === undefined
      ? undefined
      : { node: item, offset: isNode(item) ? item.range?.[0] : undefined }
  }
  return undefined
}

function keyOf(pair: Pair): string {
  const { key } = pair
  return String(isNode(key) ? key.toJSON() : key)
}
