/**
 * Decides whether apimachinery's `labels.Parse` (pkg/labels/selector.go) accepts a selector.
 * RequestInfo needs no more: with a label selector that does not parse, it ignores the name in a
 * field selector.
 */
import { isInt64 } from './int64.ts'

/** Token kinds. An operator's kind is its character code; `==` and `!=` share the kind `EQUALS`. */
const END = 0
const IDENTIFIER = 1
const EQUALS = 2
const NOT = 0x21
const OPEN = 0x28
const CLOSE = 0x29
const COMMA = 0x2c
const LESS = 0x3c
const EQUAL = 0x3d
const GREATER = 0x3e

const MAX_NAME_LENGTH = 63
const MAX_SUBDOMAIN_LENGTH = 253

/** Character classes of the lexer and of `isName`; any other character is part of an identifier. */
const BLANK = 1
const SPECIAL = 2
const ALPHANUMERIC = 3
const PUNCTUATION = 4
const CLASSES = new Uint8Array(128)
for (const code of [0x20, 0x09, 0x0d, 0x0a]) CLASSES[code] = BLANK
for (const code of [NOT, OPEN, CLOSE, COMMA, LESS, EQUAL, GREATER]) CLASSES[code] = SPECIAL
for (const code of [0x2d, 0x2e, 0x5f]) CLASSES[code] = PUNCTUATION
for (let code = 0; code < 128; code++) {
  if (/[A-Za-z0-9]/.test(String.fromCharCode(code))) CLASSES[code] = ALPHANUMERIC
}

const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/

/**
 * `requirement [, requirement …]`, where a requirement is `key`, `!key`, `key=value` (`==`, `!=`,
 * `<`, `>`), or `key in (…)` (`notin`).
 */
export function isLabelSelector(selector: string): boolean {
  if (selector === '') return true
  const lexer = new Lexer(selector)
  if (lexer.kind === END) return true
  for (;;) {
    if (!parseRequirement(lexer)) return false
    if (lexer.kind === END) return true
    // A comma must be followed by a requirement, not by the end.
    if (!lexer.consumeIf(COMMA)) return false
  }
}

/** Go's Lexer with one token of lookahead: `kind` and `text` describe the next token. */
class Lexer {
  kind = END
  text = ''
  readonly #selector: string
  #at = 0

  constructor(selector: string) {
    this.#selector = selector
    this.advance()
  }

  /** A NUL where a token should begin ends the input; after a token it is skipped, as in Go. */
  advance(): void {
    const selector = this.#selector
    while (isBlank(selector.charCodeAt(this.#at))) this.#at++
    const start = this.#at
    const first = selector.charCodeAt(start)
    if (start >= selector.length || first === 0) {
      this.kind = END
      return
    }
    if (isSpecial(first)) {
      const isPair = (first === EQUAL || first === NOT) && selector.charCodeAt(start + 1) === EQUAL
      this.kind = isPair ? EQUALS : first
      this.#at += isPair ? 2 : 1
    } else {
      while (this.#at < selector.length && isIdentifierPart(selector.charCodeAt(this.#at))) {
        this.#at++
      }
      this.kind = IDENTIFIER
      this.text = selector.slice(start, this.#at)
    }
    if (selector.charCodeAt(this.#at) === 0) this.#at++
  }

  /** Consumes the next token if it is of that kind. */
  consumeIf(kind: number): boolean {
    if (this.kind !== kind) return false
    this.advance()
    return true
  }
}

function parseRequirement(lexer: Lexer): boolean {
  const isAbsence = lexer.consumeIf(NOT)
  if (lexer.kind !== IDENTIFIER || !isLabelKey(lexer.text)) return false
  lexer.advance()
  // Go accepts `!key` without looking at what follows; the caller then requires a comma or the end.
  return isAbsence || isRequirementEnd(lexer) || parseRestriction(lexer)
}

function isRequirementEnd(lexer: Lexer): boolean {
  return lexer.kind === END || lexer.kind === COMMA
}

function parseRestriction(lexer: Lexer): boolean {
  const { kind, text } = lexer
  lexer.advance()
  switch (kind) {
    case IDENTIFIER:
      return (text === 'in' || text === 'notin') && parseValues(lexer)
    case EQUAL:
    case EQUALS:
      return parseExactValue(lexer, false)
    case LESS:
    case GREATER:
      return parseExactValue(lexer, true)
    default:
      return false
  }
}

function parseExactValue(lexer: Lexer, isNumber: boolean): boolean {
  if (isRequirementEnd(lexer)) return !isNumber
  if (lexer.kind !== IDENTIFIER) return false
  const { text } = lexer
  lexer.advance()
  return isLabelValue(text) && (!isNumber || isInt64(text))
}

/** `(a,b)`; values may be empty, but two values need a comma between them. */
function parseValues(lexer: Lexer): boolean {
  if (!lexer.consumeIf(OPEN)) return false
  while (!lexer.consumeIf(CLOSE)) {
    if (lexer.kind === IDENTIFIER) {
      if (!isLabelValue(lexer.text)) return false
      lexer.advance()
      if (!isValueEnd(lexer)) return false
    } else if (!lexer.consumeIf(COMMA)) return false
  }
  return true
}

function isValueEnd(lexer: Lexer): boolean {
  return lexer.kind === COMMA || lexer.kind === CLOSE
}

function isBlank(code: number): boolean {
  return CLASSES[code] === BLANK
}

function isSpecial(code: number): boolean {
  return CLASSES[code] === SPECIAL
}

function isIdentifierPart(code: number): boolean {
  const kind = CLASSES[code]
  return code !== 0 && kind !== SPECIAL && kind !== BLANK
}

/** apimachinery `content.IsLabelKey`. */
function isLabelKey(key: string): boolean {
  const slash = key.indexOf('/')
  if (slash === -1) return isName(key)
  return (
    slash <= MAX_SUBDOMAIN_LENGTH &&
    SUBDOMAIN.test(key.slice(0, slash)) &&
    isName(key.slice(slash + 1))
  )
}

/** apimachinery `content.IsLabelValue`. */
function isLabelValue(value: string): boolean {
  return value === '' || isName(value)
}

/**
 * `[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?`, at most 63; without a regular expression, since a
 * selector may hold thousands.
 */
function isName(text: string): boolean {
  const { length } = text
  if (length === 0 || length > MAX_NAME_LENGTH) return false
  if (CLASSES[text.charCodeAt(0)] !== ALPHANUMERIC) return false
  if (CLASSES[text.charCodeAt(length - 1)] !== ALPHANUMERIC) return false
  for (let at = 1; at < length - 1; at++) {
    const kind = CLASSES[text.charCodeAt(at)]
    if (kind !== ALPHANUMERIC && kind !== PUNCTUATION) return false
  }
  return true
}
