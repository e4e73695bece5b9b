/** Turns errors of the YAML parser into problems for the administrator. */
import type { LineCounter, YAMLError } from 'yaml'

import { oneLine } from '../one-line.ts'
import type { ConfigProblem } from './problem.ts'

const DUPLICATE_KEY = 'duplicate key'

/** Errors after which the rest of the text, or its first document, can still be checked. */
const READABLE: Readonly<Record<string, readonly [message: string, fix: string]>> = {
  DUPLICATE_KEY: [DUPLICATE_KEY, 'keep one of the two'],
  MULTIPLE_DOCS: ['a second document begins here', 'keep one document'],
}

/** Whether the rest of the text can still be checked. */
export function isReadable({ code }: YAMLError): boolean {
  return code in READABLE
}

/** Keeps only the first syntax error: later ones, and duplicate keys after it, usually follow from it. */
export function withoutFollowingErrors(errors: readonly YAMLError[]): YAMLError[] {
  const first = errors.find((error) => !isReadable(error))
  const end = first?.pos[0] ?? Infinity
  return errors.filter((error) => error === first || (isReadable(error) && error.pos[0] < end))
}

/** The problem for one error in the text of `file`. */
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
    const message = 'this item is not indented like the list items above it'
    return { ...at, message, fix: 'indent all items of a list alike' }
  }
  const syntax = [`invalid YAML: ${error.message}`, 'correct the syntax'] as const
  const [message, fix] = READABLE[error.code] ?? syntax
  return { ...at, message: message === DUPLICATE_KEY ? duplicateKey(text, error) : message, fix }
}

/** The message, with the key as it is written in the text. */
function duplicateKey(text: string, { pos: [offset] }: YAMLError): string {
  const key = /"(?:[^"\\]|\\.)*"|'[^']*'|[^\s:,{}]+/y
  key.lastIndex = offset
  const [written] = key.exec(text) ?? []
  return written === undefined ? DUPLICATE_KEY : `${DUPLICATE_KEY} ${oneLine(written)}`
}

/**
 * The offset of a list item where the parser expected a key, for example one that was pasted with the
 * indentation of another file. The parser's own offset is before the blanks and comments above it.
 */
function strayItem(text: string, { code, pos }: YAMLError): number | undefined {
  if (code !== 'BLOCK_AS_IMPLICIT_KEY') return undefined
  const above = /(?:\s|#.*)*/y
  above.lastIndex = pos[0]
  above.exec(text)
  return text[above.lastIndex] === '-' ? above.lastIndex : undefined
}
