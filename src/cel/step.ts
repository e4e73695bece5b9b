/** Steps: the parts of a program, each with what it computes. */
import { CelValueError, valueOrError } from './error.ts'
import type { Meter } from './meter.ts'
import type { Value } from './values.ts'

/** What an expression computes, from the variables in their slots. */
export type Program = (slots: Slots, meter: Meter) => Value

/** Variables of the environment, then those of loops. An accumulator may hold an error. */
export type Slots = (Value | CelValueError | undefined)[]

/** A program, and its result if that is known without evaluating it. */
export interface Step {
  readonly run: Program
  readonly constant: Value | undefined
}

/** A step that has this value. */
export function constant(value: Value): Step {
  return { constant: value, run: () => value }
}

/** A step whose value is known once it runs. */
export function computed(run: Program): Step {
  return { constant: undefined, run }
}

/** Whether the value of a step is known without running it. */
export function isConstant(step: Step): boolean {
  return step.constant !== undefined
}

/** For a meter where nothing is counted: what is folded is evaluated once, when it is compiled. */
const FREE = { charge: () => undefined } as unknown as Meter

/** Evaluates what has no variables. */
export function evaluated(run: Program): Value {
  return run([], FREE)
}

/** A step whose result is known, unless it is an error, which is one only when it is evaluated. */
export function folded(run: Program): Step {
  const value = valueOrError(() => evaluated(run))
  return value instanceof CelValueError ? computed(run) : constant(value)
}

/** @throws TypeError without a step: the checker has let a call with too few arguments pass */
export function runOf(step: Step | undefined): Program {
  if (step === undefined) throw new TypeError('the function has too few arguments')
  return step.run
}
