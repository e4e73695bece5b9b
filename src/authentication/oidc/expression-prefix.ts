/** Finds what all names begin with that an expression can give. */
import type { Call, Comprehension, Expression } from '../../cel/ast.ts'

/**
 * The longest text that is known to begin every string, or every element of a list, that an expression
 * gives: `oidc:` for `"oidc:" + claims.sub`. It is empty where nothing is known.
 */
export function prefixOfNames(expression: Expression): string {
  return knownPrefix(expression) ?? ''
}

/** Undefined for an expression that gives no name, such as `[]`. */
function knownPrefix(expression: Expression): string | undefined {
  switch (expression.kind) {
    case 'literal':
      // Empty strings and null are not names.
      if (expression.value === null || expression.value === '') return undefined
      return typeof expression.value === 'string' ? expression.value : ''
    case 'list':
      return common(expression.elements.map(({ value }) => knownPrefix(value)))
    case 'call':
      return prefixOfCall(expression)
    case 'comprehension':
      return prefixOfLoop(expression)
    case 'identifier':
    case 'select':
    case 'map':
      return ''
  }
}

function prefixOfCall({ name, args, target }: Call): string | undefined {
  const [first, second, third] = args
  if (first === undefined || target !== undefined) return ''
  if (name === 'dyn') return knownPrefix(first)
  if (second === undefined) return ''
  if (name === '_+_') return prefixOfSum(first, second)
  return name === '_?_:_' && third !== undefined
    ? common([knownPrefix(second), knownPrefix(third)])
    : ''
}

/** Of lists, the elements of both are names; of strings, the first begins the name. */
function prefixOfSum(first: Expression, second: Expression): string | undefined {
  if (isList(first) || isList(second)) return common([knownPrefix(first), knownPrefix(second)])
  if (first.kind === 'literal') return `${prefixOfText(first)}${prefixOfText(second)}`
  return beginsWithText(first) ? prefixOfText(first) : ''
}

/** Within a sum, an empty text is not a missing name: it adds nothing, and what follows begins the name. */
function prefixOfText(expression: Expression): string {
  if (expression.kind !== 'call') return knownPrefix(expression) ?? ''
  const { name, args, target } = expression
  const [first, second, third] = args
  if (target !== undefined || first === undefined) return ''
  if (name === 'dyn') return prefixOfText(first)
  if (name === '_?_:_' && second !== undefined && third !== undefined) {
    return commonStart(prefixOfText(second), prefixOfText(third))
  }
  return knownPrefix(expression) ?? ''
}

/** Whether a sum certainly is one of strings. */
function beginsWithText(expression: Expression): boolean {
  if (expression.kind === 'literal') return typeof expression.value === 'string'
  const [first] = expression.kind === 'call' && expression.name === '_+_' ? expression.args : []
  return first !== undefined && beginsWithText(first)
}

/** Whether an expression certainly is a list; a sum with it is one as well. */
function isList(expression: Expression): boolean {
  if (expression.kind === 'list' || expression.kind === 'comprehension') return true
  return expression.kind === 'call' && expression.name === '_+_' && expression.args.some(isList)
}

/** Of a loop that makes a list, the prefix of what it adds. */
function prefixOfLoop({ step, result, accumulator }: Comprehension): string | undefined {
  if (result.kind !== 'identifier' || result.name !== accumulator || step.kind !== 'call') return ''
  const added = step.name === '_?_:_' ? step.args[1] : step
  if (added?.kind !== 'call' || added.name !== '@append') return ''
  const list = added.args[1]
  return list === undefined ? '' : knownPrefix(list)
}

function common(prefixes: readonly (string | undefined)[]): string | undefined {
  const known = prefixes.filter((prefix) => prefix !== undefined)
  return known.length === 0 ? undefined : known.reduce(commonStart)
}

function commonStart(a: string, b: string): string {
  let length = 0
  while (length < a.length && a[length] === b[length]) length++
  return a.slice(0, length)
}
