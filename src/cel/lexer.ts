/** Splits the text of an expression into tokens (cel-spec doc/langdef.md, cel-go parser/gen/CEL.g4). */
import { CelSyntaxError } from './error.ts'
import { unescapeLiteral } from './unescape.ts'
import { Uint, type Value } from './values.ts'

export interface Token {
  readonly kind: 'end' | 'identifier' | 'literal' | 'symbol'
  /** The identifier, or the symbol; empty for the other kinds. */
  readonly text: string
  /** Of a literal. */
  readonly value: Value
  readonly offset: number
}

const BLANKS = /(?:[ \t\r\n\f]|\/\/[^\n]*)*/y
const IDENTIFIER = /[_a-zA-Z][_a-zA-Z0-9]*/y
/** A number must not be followed by a letter: `1x` is not a number and a name. */
const FLOAT = /(?:\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)/y
const INTEGER = /(0x[0-9a-fA-F]+|\d+)([uU]?)/y
const SYMBOL = /==|!=|<=|>=|&&|\|\||[-+*/%<>!?:.,()[\]{}]/y
/** `b`, `r`, or both, before a string: bytes, and without escapes. */
const STRING = /([bB]?[rR]?)("""|'''|"|')/y

const WORDS: ReadonlyMap<string, Value> = new Map<string, Value>([
  ['true', true],
  ['false', false],
  ['null', null],
])

const MAX_INT = 2n ** 63n - 1n
const MAX_UINT = 2n ** 64n - 1n

/** @throws CelSyntaxError for a character that begins no token, or a literal that is not valid */
export function tokenize(text: string): readonly Token[] {
  const tokens: Token[] = []
  let offset = 0
  for (;;) {
    offset += matchAt(BLANKS, text, offset)?.[0].length ?? 0
    if (offset === text.length) {
      tokens.push({ kind: 'end', text: '', value: null, offset })
      return tokens
    }
    const read = readToken(text, offset)
    tokens.push(read.token)
    offset = read.end
  }
}

interface Read {
  readonly token: Token
  readonly end: number
}

function readToken(text: string, offset: number): Read {
  return (
    readString(text, offset) ??
    readWord(text, offset) ??
    readFloat(text, offset) ??
    readInteger(text, offset) ??
    readSymbol(text, offset)
  )
}

function literal(value: Value, offset: number, end: number): Read {
  return { token: { kind: 'literal', text: '', value, offset }, end }
}

function readWord(text: string, offset: number): Read | undefined {
  const word = matchAt(IDENTIFIER, text, offset)?.[0]
  if (word === undefined) return undefined
  const end = offset + word.length
  const value = WORDS.get(word)
  if (value !== undefined) return literal(value, offset, end)
  const kind = word === 'in' ? 'symbol' : 'identifier'
  return { token: { kind, text: word, value: null, offset }, end }
}

function readFloat(text: string, offset: number): Read | undefined {
  const number = matchAt(FLOAT, text, offset)?.[0]
  if (number === undefined) return undefined
  const value = Number(number)
  if (!Number.isFinite(value)) throw new CelSyntaxError(offset, 'the number is too large')
  return literal(value, offset, offset + number.length)
}

function readInteger(text: string, offset: number): Read | undefined {
  const [number, digits = '', suffix] = matchAt(INTEGER, text, offset) ?? []
  if (number === undefined) return undefined
  const value = BigInt(digits)
  const isUnsigned = suffix !== ''
  // One more than the largest integer is allowed: with a minus sign before it, it is the smallest one.
  if (value > (isUnsigned ? MAX_UINT : MAX_INT + 1n)) {
    throw new CelSyntaxError(offset, 'the number is too large')
  }
  return literal(isUnsigned ? new Uint(value) : value, offset, offset + number.length)
}

function readSymbol(text: string, offset: number): Read {
  const symbol = matchAt(SYMBOL, text, offset)?.[0]
  if (symbol === undefined) {
    const character = String.fromCodePoint(text.codePointAt(offset) ?? 0)
    throw new CelSyntaxError(offset, `unexpected character ${JSON.stringify(character)}`)
  }
  const end = offset + symbol.length
  return { token: { kind: 'symbol', text: symbol, value: null, offset }, end }
}

function readString(text: string, offset: number): Read | undefined {
  const [opening, prefix = '', quote = ''] = matchAt(STRING, text, offset) ?? []
  if (opening === undefined) return undefined
  const isRaw = /r/i.test(prefix)
  const start = offset + opening.length
  const end = closingQuote(text, start, quote, isRaw)
  if (end === undefined) throw new CelSyntaxError(offset, 'the string does not end')
  const content = text.slice(start, end)
  try {
    const value = unescapeLiteral(content, { isRaw, isBytes: /b/i.test(prefix) })
    return literal(value, offset, end + quote.length)
  } catch (error) {
    throw new CelSyntaxError(offset, (error as Error).message)
  }
}

/** Where the closing quote is; undefined if there is none, or a line ends in a short string. */
function closingQuote(
  text: string,
  start: number,
  quote: string,
  isRaw: boolean,
): number | undefined {
  for (let at = start; at < text.length; at++) {
    const character = text[at]
    if (quote.length === 1 && (character === '\n' || character === '\r')) return undefined
    if (text.startsWith(quote, at)) return at
    if (character === '\\' && !isRaw) at++
  }
  return undefined
}

function matchAt(pattern: RegExp, text: string, offset: number): RegExpExecArray | null {
  pattern.lastIndex = offset
  return pattern.exec(text)
}
