/**
 * Reads plain YAML in a quarter of the time of the parser that keeps positions, which a large file of
 * rules made the longest part of the start.
 */
import { CORE_SCHEMA, load } from 'js-yaml'

/** Collections in collections on one line. */
const MAX_DEPTH = 3

/**
 * The lines that are read quickly: comments, `key: value` and `- value`, where a value is a quoted string
 * without escapes, words, or a flow collection on one line. Other lines have anchors, aliases, tags,
 * directives, tabs, complex keys or folded strings, in which two parsers may differ.
 */
const PLAIN_LINE = (() => {
  const word = String.raw`(?:[A-Za-z0-9_/(+]|\.(?=\w)|-(?=\w))(?:[\w./+=@()<>;$^~*,'-]|:(?=[\w/.]))*`
  const key = String.raw`[A-Za-z_][\w./-]*`
  const quoted = String.raw`'[^']*'|"[^"\\]*"`
  const flow = flowCollection(quoted, MAX_DEPTH)
  const value = String.raw`(?:${quoted}|${flow}|${word}(?: +${word})*)`
  const field = ` *(?:- +)*${key}:(?: +${value})?`
  const item = ` *(?:- +)+${value}`
  return new RegExp(`^(?:${field}|${item})?(?:(?:^| +)#.*)? *$`)
})()

/** A field whose value is the block of more indented lines below it. Captures what is before its name. */
const BLOCK_FIELD = /^( *(?:- +)*)[A-Za-z_][\w./-]*: +[|>]-?$/

/** The work of an expression may grow with the square of the length. */
const MAX_LINE_LENGTH = 4_096

/** A number that may be too large for one: infinite with one parser, and text with the other. */
const LARGE_EXPONENT = /(?:^|[\s[{,:])[-+]?[\d.]+[eE][-+]?\d{3}/m

/** Control characters but the line feed, other line breaks, the byte order mark, and surrogates. */
// eslint-disable-next-line no-control-regex -- they are what it finds
const UNUSUAL_CHARACTERS = /[\0-\t\v-\x1F\x7F-\x9F\u2028\u2029\uFEFF\uD800-\uDFFF]/

/**
 * The mapping in a text of plain lines, on which both parsers agree: `quick-yaml.test.ts` compares them.
 * Undefined for any other text, whether it is valid or not.
 */
export function parseQuickly(text: string): Readonly<Record<string, unknown>> | undefined {
  if (UNUSUAL_CHARACTERS.test(text) || LARGE_EXPONENT.test(text)) return undefined
  const body = text.startsWith('---\n') ? text.slice(4) : text
  if (!isPlain(body.split('\n'))) return undefined
  try {
    const value = load(body, { schema: CORE_SCHEMA })
    return isMapping(value) && !hasUnusualKey(value) ? value : undefined
  } catch {
    // The other parser says what is wrong, and where.
    return undefined
  }
}

/** What is in the brackets, is up to the parser; no text may follow them. */
function flowCollection(quoted: string, depth: number): string {
  const inner = depth > 1 ? `|${flowCollection(quoted, depth - 1)}` : ''
  const content = String.raw`(?:[\w./:, -]|${quoted}${inner})*`
  return String.raw`(?:\[${content}\]|\{${content}\})`
}

function isPlain(lines: readonly string[]): boolean {
  for (let i = 0; i < lines.length; i += 1) {
    const line = lines[i] ?? ''
    if (line.length > MAX_LINE_LENGTH) return false
    const before = BLOCK_FIELD.exec(line)?.[1]
    if (before !== undefined) {
      const end = blockEnd(lines, i + 1, before.length)
      if (end === undefined) return false
      i = end - 1
    } else if (!PLAIN_LINE.test(line)) return false
  }
  return true
}

/**
 * The first line behind a block; undefined for a block that is empty, has blank lines, or lines with less
 * indentation than its first one.
 */
function blockEnd(lines: readonly string[], first: number, column: number): number | undefined {
  const indentation = indentationOf(lines[first])
  if (indentation <= column) return undefined
  let end = first + 1
  while (end < lines.length && indentationOf(lines[end]) >= indentation) end += 1
  const next = lines.slice(end).find((line) => indentationOf(line) >= 0)
  return indentationOf(next) > column ? undefined : end
}

/** Of a blank or missing line: -1. */
function indentationOf(line = ''): number {
  return line.search(/[^ ]/)
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A null key is "null" with one parser, and an empty name with the other. */
function hasUnusualKey(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasUnusualKey)
  if (!isMapping(value)) return false
  return Object.keys(value).some(
    (key) => key === 'null' || key === '__proto__' || hasUnusualKey(value[key]),
  )
}
