/**
 * Whether apimachinery's `labels.Parse` (pkg/labels/selector.go) takes a selector. RequestInfo asks
 * for no more: a label selector that does not parse takes the name of a field selector away.
 */
import { isInt64 } from './int64.ts'

/** An identifier, or an operator's own text; `in` and `notin` are either, by where they stand. */
interface Token {
  readonly kind: 'identifier' | 'operator' | 'end'
  readonly text: string
}

const END: Token = { kind: 'end', text: '' }

const NAME = /^(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/
const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/

/**
 * `requirement [, requirement …]`, where a requirement is `key`, `!key`, `key=value` (`==`, `!=`,
 * `<`, `>`), or `key in (…)` (`notin`).
 */
export function isLabelSelector(selector: string): boolean {
  const parser = new Parser(scan(selector))
  if (parser.next.kind === 'end') return true
  for (;;) {
    if (!parser.requirement()) return false
    const separator = parser.take()
    if (separator.kind === 'end') return true
    // What follows a comma must be a requirement, not the end.
    if (separator.text !== ',' || separator.kind !== 'operator') return false
  }
}

class Parser {
  readonly #tokens: readonly Token[]
  #position = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  get next(): Token {
    return this.#tokens[this.#position] ?? END
  }

  take(): Token {
    const token = this.next
    this.#position++
    return token
  }

  requirement(): boolean {
    const isAbsence = isOperator(this.next, '!')
    if (isAbsence) this.take()
    const key = this.take()
    if (key.kind !== 'identifier' || !isLabelKey(key.text)) return false
    // After `!key` Go looks no further; the caller then finds no comma.
    return isAbsence || this.#atRequirementEnd() || this.#restriction()
  }

  #restriction(): boolean {
    const operator = this.take()
    if (operator.kind === 'identifier') {
      return (operator.text === 'in' || operator.text === 'notin') && this.#values()
    }
    switch (operator.text) {
      case '=':
      case '==':
      case '!=':
        return this.#exactValue(isLabelValue)
      case '>':
      case '<':
        return this.#exactValue((text) => isLabelValue(text) && isInt64(text))
      default:
        return false
    }
  }

  #atRequirementEnd(): boolean {
    return this.next.kind === 'end' || isOperator(this.next, ',')
  }

  #exactValue(isValid: (text: string) => boolean): boolean {
    if (this.#atRequirementEnd()) return isValid('')
    const value = this.take()
    return value.kind === 'identifier' && isValid(value.text)
  }

  /** `(a,b)`; values may be empty, but no two stand side by side without a comma. */
  #values(): boolean {
    if (!isOperator(this.take(), '(')) return false
    let afterValue = false
    for (;;) {
      const token = this.take()
      if (isOperator(token, ')')) return true
      if (isOperator(token, ',')) afterValue = false
      else if (token.kind === 'identifier' && !afterValue && isLabelValue(token.text)) {
        afterValue = true
      } else return false
    }
  }
}

function isOperator(token: Token, text: string): boolean {
  return token.kind === 'operator' && token.text === text
}

/** Go's Lexer. A NUL where a token should begin ends all; behind a token it is skipped. */
function scan(selector: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  for (;;) {
    while (isBlank(selector[at])) at++
    const first = selector[at]
    if (first === undefined || first === '\0') return tokens
    const start = at
    const kind = isSpecial(first) ? 'operator' : 'identifier'
    if (kind === 'operator') at = symbolEnd(selector, at)
    else while (isIdentifierPart(selector[at])) at++
    tokens.push({ kind, text: selector.slice(start, at) })
    if (selector[at] === '\0') at++
  }
}

/** Every special character is an operator; `==` and `!=` go before their first halves. */
function symbolEnd(selector: string, at: number): number {
  const first = selector[at]
  return (first === '=' || first === '!') && selector[at + 1] === '=' ? at + 2 : at + 1
}

function isBlank(character: string | undefined): boolean {
  return character === ' ' || character === '\t' || character === '\r' || character === '\n'
}

function isSpecial(character: string): boolean {
  return '=!(),><'.includes(character)
}

function isIdentifierPart(character: string | undefined): boolean {
  return (
    character !== undefined && character !== '\0' && !isSpecial(character) && !isBlank(character)
  )
}

/** apimachinery `content.IsLabelKey`. */
function isLabelKey(key: string): boolean {
  const slash = key.indexOf('/')
  const name = key.slice(slash + 1)
  const prefix = slash === -1 ? undefined : key.slice(0, slash)
  return (
    name.length <= 63 &&
    NAME.test(name) &&
    (prefix === undefined || (prefix.length <= 253 && SUBDOMAIN.test(prefix)))
  )
}

/** apimachinery `content.IsLabelValue`. */
function isLabelValue(value: string): boolean {
  return value === '' || (value.length <= 63 && NAME.test(value))
}
