/**
 * Whether apimachinery's `labels.Parse` (pkg/labels/selector.go) takes a selector. RequestInfo asks
 * for no more: a label selector that does not parse takes the name of a field selector away.
 */
import { isInt64 } from './int64.ts'

/** Kinds of tokens; an operator's is its first character, `==` and `!=` have their own. */
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

const NAME = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/
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
    // What follows a comma must be a requirement, not the end.
    if (!lexer.takes(COMMA)) return false
  }
}

/** Go's Lexer with one token of lookahead: `kind` and `text` are the next token. */
class Lexer {
  kind = END
  text = ''
  readonly #selector: string
  #at = 0

  constructor(selector: string) {
    this.#selector = selector
    this.advance()
  }

  /** A NUL where a token should begin ends all; behind a token it is skipped. */
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
  takes(kind: number): boolean {
    if (this.kind !== kind) return false
    this.advance()
    return true
  }
}

function parseRequirement(lexer: Lexer): boolean {
  const isAbsence = lexer.takes(NOT)
  if (lexer.kind !== IDENTIFIER || !isLabelKey(lexer.text)) return false
  lexer.advance()
  // After `!key` Go looks no further; the caller then finds no comma.
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

/** `(a,b)`; values may be empty, but no two stand side by side without a comma. */
function parseValues(lexer: Lexer): boolean {
  if (!lexer.takes(OPEN)) return false
  while (!lexer.takes(CLOSE)) {
    if (lexer.kind === IDENTIFIER) {
      if (!isLabelValue(lexer.text)) return false
      lexer.advance()
      if (!isValueEnd(lexer)) return false
    } else if (!lexer.takes(COMMA)) return false
  }
  return true
}

function isValueEnd(lexer: Lexer): boolean {
  return lexer.kind === COMMA || lexer.kind === CLOSE
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0d || code === 0x0a
}

function isSpecial(code: number): boolean {
  switch (code) {
    case NOT:
    case OPEN:
    case CLOSE:
    case COMMA:
    case LESS:
    case EQUAL:
    case GREATER:
      return true
    default:
      return false
  }
}

function isIdentifierPart(code: number): boolean {
  return code !== 0 && !isSpecial(code) && !isBlank(code)
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

function isName(text: string): boolean {
  return text.length <= MAX_NAME_LENGTH && NAME.test(text)
}
