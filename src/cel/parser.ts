/** Parses an expression, and expands its macros (cel-go parser/parser.go, parser/gen/CEL.g4). */
import type { Call, Expression, ListElement, Literal, MapEntry, Select } from './ast.ts'
import { CelSyntaxError } from './error.ts'
import { tokenize, type Token } from './lexer.ts'
import { expandMacro } from './macros.ts'
import type { Value } from './values.ts'

/** Longest text, in characters. kube-apiserver's limit is 100,000. */
const MAX_LENGTH = 100_000
/** Deepest nesting, as in cel-go. */
const MAX_DEPTH = 250

/** Words that CEL keeps for later: they name no variable. */
const RESERVED: ReadonlySet<string> = new Set([
  ...['as', 'break', 'const', 'continue', 'else', 'for', 'function', 'if', 'import', 'let', 'loop'],
  ...['package', 'namespace', 'return', 'var', 'void', 'while'],
])

/** Binary operators that associate to the left, by level, the weakest first. */
const RELATIONS = ['<', '<=', '>=', '>', '==', '!=', 'in'] as const
const SUMS = ['+', '-'] as const
const PRODUCTS = ['*', '/', '%'] as const

/** @throws CelSyntaxError */
export function parseExpression(text: string): Expression {
  if (text.length > MAX_LENGTH) {
    throw new CelSyntaxError(0, `the expression is longer than ${MAX_LENGTH} characters`)
  }
  const parser = new Parser(tokenize(text))
  const expression = parser.expression()
  parser.end()
  return expression
}

class Parser {
  private readonly tokens: readonly Token[]
  private at = 0
  private depth = 0

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens
  }

  end(): void {
    if (this.current.kind !== 'end') throw this.unexpected()
  }

  expression(): Expression {
    if (++this.depth > MAX_DEPTH) {
      throw new CelSyntaxError(this.current.offset, 'the expression is nested too deeply')
    }
    const condition = this.or()
    if (!this.take('?')) {
      this.depth--
      return condition
    }
    const yes = this.or()
    this.expect(':')
    const no = this.expression()
    this.depth--
    return call(condition.offset, '_?_:_', [condition, yes, no])
  }

  private or(): Expression {
    let left = this.and()
    while (this.take('||')) left = call(left.offset, '_||_', [left, this.and()])
    return left
  }

  private and(): Expression {
    let left = this.relation()
    while (this.take('&&')) left = call(left.offset, '_&&_', [left, this.relation()])
    return left
  }

  private relation(): Expression {
    let left = this.sum()
    for (;;) {
      const operator = this.takeOneOf(RELATIONS)
      if (operator === undefined) return left
      const name = operator === 'in' ? '@in' : `_${operator}_`
      left = call(left.offset, name, [left, this.sum()])
    }
  }

  private sum(): Expression {
    let left = this.product()
    for (;;) {
      const operator = this.takeOneOf(SUMS)
      if (operator === undefined) return left
      left = call(left.offset, `_${operator}_`, [left, this.product()])
    }
  }

  private product(): Expression {
    let left = this.unary()
    for (;;) {
      const operator = this.takeOneOf(PRODUCTS)
      if (operator === undefined) return left
      left = call(left.offset, `_${operator}_`, [left, this.unary()])
    }
  }

  private unary(): Expression {
    const { offset } = this.current
    for (const operator of ['!', '-'] as const) {
      let count = 0
      while (this.peek() === operator && !(operator === '-' && this.isNegativeNumber())) {
        this.at++
        count++
      }
      if (count === 0) continue
      const operand = this.member()
      // Two of them cancel each other out, whatever the operand is.
      return count % 2 === 0 ? operand : call(offset, `${operator}_`, [operand])
    }
    return this.member()
  }

  /** A minus sign before a number belongs to it. */
  private isNegativeNumber(): boolean {
    const next = this.tokens[this.at + 1]
    return next?.kind === 'literal' && ['bigint', 'number'].includes(typeof next.value)
  }

  private member(): Expression {
    let expression = this.primary()
    let depth = 0
    for (;;) {
      const { offset } = this.current
      if (++depth > MAX_DEPTH)
        throw new CelSyntaxError(offset, 'the expression is nested too deeply')
      if (this.take('.')) expression = this.selection(expression, offset)
      else if (this.take('[')) expression = this.index(expression, offset)
      else return expression
    }
  }

  private selection(operand: Expression, offset: number): Expression {
    const isOptional = this.take('?')
    const name = this.identifier()
    if (isOptional) return call(offset, '_?._', [operand, literal(offset, name)])
    if (!this.take('(')) return select(offset, operand, name)
    const args = this.args()
    return expandMacro(offset, name, operand, args) ?? call(offset, name, args, operand)
  }

  private index(operand: Expression, offset: number): Expression {
    const name = this.take('?') ? '_[?_]' : '_[_]'
    const index = this.expression()
    this.expect(']')
    return call(offset, name, [operand, index])
  }

  private primary(): Expression {
    const token = this.current
    const { offset } = token
    if (token.kind === 'literal') {
      this.at++
      return literal(offset, positive(token))
    }
    if (this.peek() === '-' && this.isNegativeNumber()) return this.negativeNumber(offset)
    if (this.take('(')) {
      const expression = this.expression()
      this.expect(')')
      return expression
    }
    if (this.take('[')) return { kind: 'list', offset, elements: this.elements() }
    if (this.take('{')) return { kind: 'map', offset, entries: this.entries() }
    // A dot before a name looks it up outside of every loop.
    this.take('.')
    if (this.current.kind !== 'identifier') throw this.unexpected()
    return this.name(offset)
  }

  private name(offset: number): Expression {
    const name = this.identifier()
    if (RESERVED.has(name)) throw new CelSyntaxError(offset, `reserved identifier: ${name}`)
    if (this.take('(')) {
      const args = this.args()
      return expandMacro(offset, name, undefined, args) ?? call(offset, name, args)
    }
    if (this.peek() === '{') {
      throw new CelSyntaxError(offset, 'messages are not supported')
    }
    return { kind: 'identifier', offset, name }
  }

  private negativeNumber(offset: number): Expression {
    this.at++
    const { value } = this.current
    this.at++
    return literal(offset, typeof value === 'bigint' ? -value : -Number(value))
  }

  /** The arguments of a call, and its closing parenthesis. */
  private args(): Expression[] {
    if (this.take(')')) return []
    const args = [this.expression()]
    while (this.take(',')) args.push(this.expression())
    this.expect(')')
    return args
  }

  private elements(): ListElement[] {
    return this.items(']', () => {
      const isOptional = this.take('?')
      return { isOptional, value: this.expression() }
    })
  }

  private entries(): MapEntry[] {
    return this.items('}', () => {
      const isOptional = this.take('?')
      const key = this.expression()
      this.expect(':')
      return { isOptional, key, value: this.expression() }
    })
  }

  /** Items with commas between them and perhaps one behind the last, and the closing symbol. */
  private items<T>(closing: string, item: () => T): T[] {
    const items: T[] = []
    while (!this.take(closing)) {
      if (items.length > 0) {
        this.expect(',')
        if (this.take(closing)) break
      } else if (this.take(',')) {
        this.expect(closing)
        break
      }
      items.push(item())
    }
    return items
  }

  private identifier(): string {
    const { kind, text } = this.current
    if (kind !== 'identifier') throw this.unexpected()
    this.at++
    return text
  }

  private get current(): Token {
    const token = this.tokens[this.at] ?? this.tokens.at(-1)
    if (token === undefined) throw new TypeError('there is no token')
    return token
  }

  private peek(): string | undefined {
    const { kind, text } = this.current
    return kind === 'symbol' ? text : undefined
  }

  private take(symbol: string): boolean {
    if (this.peek() !== symbol) return false
    this.at++
    return true
  }

  private takeOneOf<const T extends string>(symbols: readonly T[]): T | undefined {
    const next = this.peek()
    const found = symbols.find((symbol) => symbol === next)
    if (found !== undefined) this.at++
    return found
  }

  private expect(symbol: string): void {
    if (!this.take(symbol)) throw this.unexpected(symbol)
  }

  private unexpected(expected?: string): CelSyntaxError {
    const { kind, text, offset } = this.current
    const names = { end: 'the end', literal: 'a literal', identifier: text, symbol: `"${text}"` }
    const wanted = expected === undefined ? '' : `, expected "${expected}"`
    return new CelSyntaxError(offset, `unexpected ${names[kind]}${wanted}`)
  }
}

function positive({ value, offset }: Token): Value {
  if (typeof value === 'bigint' && value > 2n ** 63n - 1n) {
    throw new CelSyntaxError(offset, 'the number is too large')
  }
  return value
}

function literal(offset: number, value: Value): Literal {
  return { kind: 'literal', offset, value }
}

function select(offset: number, operand: Expression, field: string): Select {
  return { kind: 'select', offset, operand, field, isTest: false }
}

function call(
  offset: number,
  name: string,
  args: readonly Expression[],
  target?: Expression,
): Call {
  return { kind: 'call', offset, name, args, target }
}
