/**
 * The syntax tree of an expression after its macros are expanded: the same tree as cel-go's
 * (common/ast), since what kube-apiserver looks for in it is looked for here as well.
 */
import type { Value } from './values.ts'

export type Expression = Literal | Identifier | Select | Call | List | MapLiteral | Comprehension

interface Node {
  /** Where it begins in the text, in UTF-16 code units. */
  readonly offset: number
}

export interface Literal extends Node {
  readonly kind: 'literal'
  readonly value: Value
}

export interface Identifier extends Node {
  readonly kind: 'identifier'
  readonly name: string
}

/** `operand.field`, or `has(operand.field)` if it only tests. */
export interface Select extends Node {
  readonly kind: 'select'
  readonly operand: Expression
  readonly field: string
  readonly isTest: boolean
}

/** Operators are calls of functions such as `_+_`. */
export interface Call extends Node {
  readonly kind: 'call'
  readonly name: string
  readonly target: Expression | undefined
  readonly args: readonly Expression[]
}

export interface ListElement {
  readonly value: Expression
  /** `[?value]`: left out if the optional has no value. */
  readonly isOptional: boolean
}

export interface List extends Node {
  readonly kind: 'list'
  readonly elements: readonly ListElement[]
}

export interface MapEntry extends ListElement {
  readonly key: Expression
}

export interface MapLiteral extends Node {
  readonly kind: 'map'
  readonly entries: readonly MapEntry[]
}

/** What a macro such as `all` or `map` expands to: a loop with an accumulator. */
export interface Comprehension extends Node {
  readonly kind: 'comprehension'
  readonly range: Expression
  /** The element of a list, the key of a map; with `variable2`, the index or the key. */
  readonly variable: string
  /** The element of a list, or the value of a map. */
  readonly variable2: string | undefined
  readonly accumulator: string
  readonly initial: Expression
  readonly condition: Expression
  readonly step: Expression
  readonly result: Expression
}

/** The direct parts of an expression. */
export function partsOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case 'literal':
    case 'identifier':
      return []
    case 'select':
      return [expression.operand]
    case 'call':
      return [...expression.args, ...(expression.target === undefined ? [] : [expression.target])]
    case 'list':
      return expression.elements.map(({ value }) => value)
    case 'map':
      return expression.entries.flatMap(({ key, value }) => [key, value])
    case 'comprehension': {
      const { range, initial, condition, step, result } = expression
      return [range, initial, condition, step, result]
    }
  }
}

/** `a.b.c` as a name; undefined for anything else. */
export function qualifiedName(expression: Expression): string | undefined {
  if (expression.kind === 'identifier') return expression.name
  if (expression.kind !== 'select' || expression.isTest) return undefined
  const operand = qualifiedName(expression.operand)
  return operand === undefined ? undefined : `${operand}.${expression.field}`
}
