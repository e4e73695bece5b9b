import type { Call, Expression } from './ast.ts'
import { check, type Environment } from './checker.ts'
import { CelValueError } from './error.ts'
import {
  compilePattern,
  PATTERN_FUNCTIONS,
  type PatternFunction,
} from './functions/regular-expressions.ts'
import { asSyntaxError, checkLiterals } from './literals.ts'
import { Meter } from './meter.ts'
import { parseExpression } from './parser.ts'
import { createProgram, type Planner } from './program.ts'
import type { Program, Step } from './step.ts'
import { formatType } from './types.ts'
import { typeName, type Value } from './values.ts'

/** Cost that one evaluation may have: some tens of milliseconds. Kubernetes has the same number. */
export const COST_LIMIT = 1_000_000

export interface CompiledExpression {
  /** The type of its result, such as `bool` or `list(string)`; `dyn` and `any` are known at run time only. */
  readonly type: string
  /** With its macros expanded. */
  readonly syntax: Expression
  /**
   * Evaluates it with values for all variables of its environment.
   *
   * @throws CelValueError when it has no value, CelCostError when that would cost too much
   */
  evaluate(variables: Readonly<Record<string, Value>>): Value
}

/**
 * Compiles an expression of CEL with Kubernetes' functions. What compiles is evaluated as cel-go would
 * evaluate it.
 *
 * @throws CelSyntaxError for what kube-apiserver would refuse as well, and for functions that Gatehouse
 * does not support
 */
export function compileExpression(text: string, environment: Environment): CompiledExpression {
  const syntax = parseExpression(text)
  const checked = check(syntax, environment)
  checkLiterals(syntax, checked)
  const { run } = createProgram(syntax, { environment, checked, plan: planPattern })
  const names = [...environment.variables.keys()]
  return {
    type: formatType(checked.typeOf(syntax)),
    syntax,
    evaluate: (variables) =>
      run(
        names.map((name) => variables[name]),
        new Meter(COST_LIMIT),
      ),
  }
}

/** A literal pattern is compiled with the expression. */
const planPattern: Planner = (call, name, operands) => {
  const patternFunction = PATTERN_FUNCTIONS.get(name)
  const pattern = operands[1]?.constant
  if (patternFunction === undefined || typeof pattern !== 'string') return undefined
  return withPattern(call, pattern, patternFunction, operands)
}

function withPattern(
  call: Call,
  text: string,
  patternFunction: PatternFunction,
  [subject, , limit]: readonly Step[],
): Program | undefined {
  const pattern = asSyntaxError(call.offset, () => compilePattern(text))
  if (subject === undefined) return undefined
  return (slots, meter) => {
    const value = stringOf(subject.run(slots, meter))
    return patternFunction(meter, pattern, value, intOf(limit?.run(slots, meter)))
  }
}

function stringOf(value: Value): string {
  if (typeof value === 'string') return value
  throw new CelValueError(`no such overload: ${typeName(value)} is not a string`)
}

function intOf(value: Value | undefined): bigint | undefined {
  if (value === undefined || typeof value === 'bigint') return value
  throw new CelValueError(`no such overload: ${typeName(value)} is not an int`)
}
