/** What a YAML parser finds wrong, in an operator's words. */
import type { LineCounter, YAMLError } from 'yaml'

import type { ConfigProblem } from './problem.ts'

/** What leaves the rest of the text, or its first document, readable. */
const READABLE: Readonly<Record<string, readonly [message: string, fix: string]>> = {
  DUPLICATE_KEY: ['the same key stands twice', 'keep one of them'],
  MULTIPLE_DOCS: ['another document begins here', 'keep one document'],
}

/** Whether what else the text says can be relied on. */
export function isReadable({ code }: YAMLError): boolean {
  return code in READABLE
}

/** Of a parser's errors the first: what it makes of the text behind that is seldom meant. */
export function withoutFollowers(errors: readonly YAMLError[]): YAMLError[] {
  const first = errors.find((error) => !isReadable(error))
  return errors.filter((error) => isReadable(error) || error === first)
}

/** The problem of one error in the text of `file`. */
export function syntaxProblem(
  file: string,
  text: string,
  error: YAMLError,
  lines: LineCounter,
): ConfigProblem {
  const item = strayItem(text, error)
  const { line, col } = lines.linePos(item ?? error.pos[0])
  const at = { file, line, column: col, field: '' }
  if (item !== undefined) {
    const message = 'this item is indented unlike those of the list above it'
    return { ...at, message, fix: 'the items of a list must be indented alike' }
  }
  const syntax = [`no valid YAML: ${error.message}`, 'correct the syntax'] as const
  const [message, fix] = READABLE[error.code] ?? syntax
  return { ...at, message, fix }
}

/**
 * Where an item of a list stands in which the parser expected a key, as when it was pasted with the
 * indentation of another file. The parser's own place is before the blanks and comments above it.
 */
function strayItem(text: string, { code, pos }: YAMLError): number | undefined {
  if (code !== 'BLOCK_AS_IMPLICIT_KEY') return undefined
  const above = /(?:\s|#.*)*/y
  above.lastIndex = pos[0]
  above.exec(text)
  return text[above.lastIndex] === '-' ? above.lastIndex : undefined
}
