/**
 * Reads the administrator's YAML and JSON files strictly: unknown fields, duplicate keys, wrong types
 * and further documents are problems, each with its line, and all are reported together.
 */
import { resolve } from 'node:path'

import { isMap, isNode, isPair, isSeq, LineCounter, parseDocument as parseYaml, visit } from 'yaml'
import type { Document, Pair } from 'yaml'
import { z } from 'zod'

import { describeIssues } from './issues.ts'
import { fieldName, type Path } from './path.ts'
import { ConfigError, fileProblem, WHOLE_FILE, type ConfigProblem, type Place } from './problem.ts'
import { readText } from './read-text.ts'
import { isReadable, syntaxProblem, withoutFollowingErrors } from './syntax.ts'

// Without zod's JIT no text is ever evaluated as code in this process. A schema is used once per load,
// so generated code would not pay off either.
z.config({ jitless: true })

/** Knows the place of each field of one file. */
export interface Source {
  readonly file: string
  /** The field's place; of a missing field, the place of the innermost parent that exists. */
  locate(path: Path): Place
  problem(path: Path, message: string, fix: string): ConfigProblem
}

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
  const errors = withoutFollowingErrors(document.errors)
  const problems = [...errors.map((error) => syntaxProblem(file, text, error, lines)), ...aliases]
  if (aliases.length > 0 || !errors.every(isReadable)) {
    return { ...source, raw: undefined, value: undefined, problems }
  }

  let raw: unknown
  try {
    raw = document.toJS({ maxAliasCount: 100 })
  } catch (error) {
    const problem = source.problem(
      [],
      (error as Error).message,
      'write the values out instead of using aliases',
    )
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
      const message = `the alias *${alias.source} has no anchor &${alias.source} before it`
      const fix = 'write the value out, or quote text that begins with "*"'
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

/** The offset of a field's key or a list's item; of a missing field, that of the last part found. */
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
