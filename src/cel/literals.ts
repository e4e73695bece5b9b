/** What kube-apiserver checks of literals before it evaluates an expression (cel-go cel/validator.go, ext/formatting.go). */
import { partsOf, type Call, type Expression, type List, type MapLiteral } from './ast.ts'
import type { Checked } from './checker.ts'
import { CelSyntaxError, CelValueError } from './error.ts'
import { parseTemplate } from './functions/format.ts'
import { compilePattern } from './functions/regular-expressions.ts'
import { formatType, isOptional, isSameType, parameterOf, type Kind, type Type } from './types.ts'

/**
 * Checks that elements of list and map literals are of one type, that `format` fits its arguments, and
 * that patterns are valid.
 *
 * @throws CelSyntaxError
 */
export function checkLiterals(expression: Expression, checked: Checked): void {
  visit(expression, false)

  function visit(at: Expression, isFormatted: boolean): void {
    if (at.kind === 'list' && !isFormatted) checkElements(at)
    if (at.kind === 'map' && !isFormatted) checkEntries(at)
    if (at.kind === 'call') checkCall(at)
    const isFormat = isFormatted || (at.kind === 'call' && at.name === 'format')
    for (const part of partsOf(at)) visit(part, isFormat)
  }

  function typeOf(at: Expression, isUnwrapped: boolean): Type {
    const type = checked.typeOf(at)
    return isUnwrapped && isOptional(type) ? parameterOf(type) : type
  }

  function checkElements({ elements }: List): void {
    expectOneType(elements.map(({ value, isOptional }) => [value, typeOf(value, isOptional)]))
  }

  function checkEntries({ entries }: MapLiteral): void {
    expectOneType(entries.map(({ key }) => [key, typeOf(key, false)]))
    expectOneType(entries.map(({ value, isOptional }) => [value, typeOf(value, isOptional)]))
  }

  function checkCall(call: Call): void {
    if (call.name === 'matches') checkPattern(call)
    if (call.name === 'format' && call.target?.kind === 'literal') checkFormat(call)
  }

  function checkFormat({ target, args }: Call): void {
    const [list] = args
    if (target?.kind !== 'literal' || typeof target.value !== 'string' || list?.kind !== 'list') {
      return
    }
    const clauses = clausesOf(target.value, target.offset)
    if (clauses.length !== list.elements.length) {
      const message = `format has ${clauses.length} clauses and ${list.elements.length} arguments`
      throw new CelSyntaxError(target.offset, message)
    }
    for (const [i, { value }] of list.elements.entries()) checkArgument(clauses[i] ?? '', value)
  }

  function checkArgument(clause: string, value: Expression): void {
    const type = checked.typeOf(value)
    if (type.kind !== 'dyn' && !(ARGUMENTS[clause] ?? []).includes(type.kind)) {
      const message = `%${clause} cannot format a value of type ${formatType(type)}`
      throw new CelSyntaxError(value.offset, message)
    }
    if (clause !== 's' || (value.kind !== 'list' && value.kind !== 'map')) return
    for (const part of partsOf(value)) checkArgument(clause, part)
  }
}

const ARGUMENTS: Readonly<Record<string, readonly Kind[]>> = {
  s: [
    ...(['list', 'map', 'int', 'uint', 'double', 'bool', 'string', 'timestamp', 'bytes'] as const),
    ...(['duration', 'type', 'null'] as const),
  ],
  d: ['int', 'uint'],
  b: ['int', 'uint', 'bool'],
  o: ['int', 'uint'],
  x: ['int', 'uint', 'string', 'bytes'],
  X: ['int', 'uint', 'string', 'bytes'],
}

function expectOneType(elements: readonly (readonly [Expression, Type])[]): void {
  const [first] = elements
  for (const [value, type] of elements) {
    if (first === undefined || isSameType(first[1], type)) continue
    const message = `expected type '${formatType(first[1])}' but found '${formatType(type)}'`
    throw new CelSyntaxError(value.offset, message)
  }
}

/** kube-apiserver takes the first argument for the pattern, also where that is the text. */
function checkPattern({ args: [pattern] }: Call): void {
  if (pattern?.kind !== 'literal' || typeof pattern.value !== 'string') return
  const { value, offset } = pattern
  asSyntaxError(offset, () => compilePattern(value))
}

function clausesOf(template: string, offset: number): readonly string[] {
  const { clauses } = asSyntaxError(offset, () => parseTemplate(template))
  return clauses.filter((clause) => clause !== '%')
}

/** An error of a value that is known before the evaluation is one of the expression. */
export function asSyntaxError<T>(offset: number, compute: () => T): T {
  try {
    return compute()
  } catch (error) {
    if (error instanceof CelValueError) throw new CelSyntaxError(offset, error.message)
    throw error
  }
}
