/** Reads YAML and JSON with the position of every field, and every problem of the syntax. */
import { isAlias, isMap, isNode, isPair, isSeq, LineCounter, parseDocument, visit } from 'yaml'
import type { Document, Pair } from 'yaml'

import { fieldName, type Path } from './path.ts'
import type { ConfigProblem, Place } from './problem.ts'
import { isReadable, syntaxProblem, withoutFollowingErrors } from './syntax.ts'

/** Knows the place of each field of one file. */
export interface Source {
  readonly file: string
  /** The field's place; of a missing field, the place of the innermost parent that exists. */
  locate(path: Path): Place
  problem(path: Path, message: string, fix: string): ConfigProblem
}

export interface PositionedDocument {
  readonly source: Source
  /** The bare data; undefined if the document is not readable. */
  readonly raw: unknown
  /** Whether the data can be checked, in spite of problems. */
  readonly isReadable: boolean
  readonly problems: readonly ConfigProblem[]
}

/** Parses a text; `file` is only for the problems. */
export function parseWithPositions(file: string, text: string): PositionedDocument {
  const lines = new LineCounter()
  const document = parseDocument(text, {
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
    return { source, raw: undefined, isReadable: false, problems }
  }
  try {
    return { source, raw: document.toJS({ maxAliasCount: 100 }), isReadable: true, problems }
  } catch (error) {
    const problem = source.problem(
      [],
      (error as Error).message,
      'write the values out instead of using aliases',
    )
    return { source, raw: undefined, isReadable: false, problems: [...problems, problem] }
  }
}

/** In one pass: `Alias.resolve` searches the whole document, and a file may have many aliases. */
function unresolvedAliases(file: string, document: Document, lines: LineCounter): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  const anchors = new Set<string>()
  visit(document, {
    Node(_key, node) {
      if (!isAlias(node)) {
        if (node.anchor !== undefined) anchors.add(node.anchor)
        return
      }
      if (anchors.has(node.source)) return
      const { line, col } = lines.linePos(node.range?.[0] ?? 0)
      const message = `the alias *${node.source} has no anchor &${node.source} before it`
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
