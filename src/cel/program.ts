/** Turns a checked expression into a function (cel-go interpreter/planner.go, interpretable.go). */
import { get, getOptional, isPresent } from './access.ts'
import type {
  Call,
  Comprehension,
  Expression,
  Identifier,
  List as ListExpression,
  MapLiteral,
} from './ast.ts'
import type { Checked, Environment } from './checker.ts'
import { isEqual } from './compare.ts'
import { CelSyntaxError, CelValueError, valueOrError } from './error.ts'
import { Fields } from './json-values.ts'
import { accepts, type Overload } from './library.ts'
import { asSyntaxError } from './literals.ts'
import { CHARACTERS_PER_STEP, type Meter } from './meter.ts'
import {
  isMap,
  isOpaque,
  List,
  Optional,
  PlainMap,
  typeName,
  TypeValue,
  type Value,
} from './values.ts'

/** What an expression computes, from the variables in their slots. */
export type Program = (slots: Slots, meter: Meter) => Value

/** Variables of the environment, then those of loops. An accumulator may hold an error. */
export type Slots = (Value | CelValueError | undefined)[]

/** A program, and its result if that is known without evaluating it. */
export interface Step {
  readonly run: Program
  readonly constant: Value | undefined
}

interface Scope {
  readonly slots: ReadonlyMap<string, number>
}

/** How calls of some functions become steps of another kind, such as patterns that are compiled once. */
export type Planner = (call: Call, name: string, operands: readonly Step[]) => Program | undefined

export interface ProgramOptions {
  readonly environment: Environment
  readonly checked: Checked
  readonly plan: Planner
}

/** @throws CelSyntaxError by the planner */
export function createProgram(expression: Expression, options: ProgramOptions): Step {
  const slots = new Map([...options.environment.variables.keys()].map((name, i) => [name, i]))
  return new Compiler(options, slots.size).compile(expression, { slots })
}

class Compiler {
  private readonly options: ProgramOptions
  private nextSlot: number

  constructor(options: ProgramOptions, firstSlot: number) {
    this.options = options
    this.nextSlot = firstSlot
  }

  /** As in cel-go (interpreter/planner.go): of types, only names of types may be identifiers, not variables. */
  private requireNoType(identifier: Identifier): void {
    if (this.options.checked.typeOf(identifier).kind !== 'type') return
    throw new CelSyntaxError(identifier.offset, `reference to undefined type: ${identifier.name}`)
  }

  compile(expression: Expression, scope: Scope): Step {
    const type = this.options.checked.namedType(expression)
    if (type !== undefined) return constant(new TypeValue(type.parameters[0]?.name ?? ''))
    switch (expression.kind) {
      case 'literal':
        return constant(expression.value)
      case 'identifier':
        this.requireNoType(expression)
        return variable(slotOf(scope, expression.name))
      case 'select': {
        const { run } = this.compile(expression.operand, scope)
        const { field, isTest } = expression
        return computed(
          isTest
            ? (slots, meter) => isPresent(run(slots, meter), field)
            : (slots, meter) => get(run(slots, meter), field),
        )
      }
      case 'call':
        return this.call(expression, scope)
      case 'list':
        return this.list(expression, scope)
      case 'map':
        return this.map(expression, scope)
      case 'comprehension':
        return computed(this.comprehension(expression, scope))
    }
  }

  private call(expression: Call, scope: Scope): Step {
    const { target, args } = expression
    const { checked, environment, plan } = this.options
    const isQualified = checked.isQualified(expression)
    const hasReceiver = target !== undefined && !isQualified
    const operands = [...(hasReceiver ? [target] : []), ...args].map((operand) =>
      this.compile(operand, scope),
    )
    // cel-go does not evaluate what is looked for in an empty list.
    if (expression.name === '@in' && isEmptyList(args[1])) return constant(false)
    if (expression.name === '@in') refuseWithoutHash(operands)
    const special = SPECIAL.get(expression.name)
    if (special !== undefined && !isQualified) return computed(special(operands))
    const overloads = checked.overloadsOf(expression)
    const isGuarded = overloads.length === 1 && !DECIDED_BY_VALUES.has(expression.name)
    const candidates = isGuarded
      ? overloads
      : (environment.functions.get(expression.name) ?? overloads)
    const planned = plan(expression, expression.name, operands)
    const run = planned ?? dispatch(expression.name, candidates, operands)
    return foldConversion(expression, run, operands)
  }

  private list({ elements }: ListExpression, scope: Scope): Step {
    const steps = elements.map(({ value, isOptional }) => {
      const step = this.compile(value, scope)
      return { ...step, isOptional }
    })
    const run: Program = (slots, meter) => {
      const items: Value[] = []
      for (const { run, isOptional } of steps) {
        const value = run(slots, meter)
        const content = isOptional ? contentOf(value) : value
        if (content !== undefined) items.push(content)
      }
      meter.charge(1)
      return new List(items)
    }
    // A new list each time, since an accumulator grows in place.
    if (steps.length === 0) return { constant: new List([]), run }
    return steps.every(isConstant) ? folded(run) : computed(run)
  }

  private map({ entries }: MapLiteral, scope: Scope): Step {
    const steps = entries.map(({ key, value, isOptional }) => {
      return { key: this.compile(key, scope), value: this.compile(value, scope), isOptional }
    })
    const run: Program = (slots, meter) => {
      const content: (readonly [Value, Value])[] = []
      for (const { key, value, isOptional } of steps) {
        const name = key.run(slots, meter)
        const found = value.run(slots, meter)
        const kept = isOptional ? contentOf(found) : found
        if (kept !== undefined) content.push([name, kept])
      }
      meter.charge(1 + content.length)
      return new PlainMap(content)
    }
    const isFolded = steps.every(({ key, value }) => isConstant(key) && isConstant(value))
    return isFolded ? folded(run) : computed(run)
  }

  private comprehension(expression: Comprehension, scope: Scope): Program {
    const range = this.compile(expression.range, scope).run
    const initial = this.compile(expression.initial, scope).run
    const accumulator = this.nextSlot++
    const first = this.nextSlot++
    const second = this.nextSlot++
    const outer = new Map(scope.slots).set(expression.accumulator, accumulator)
    const { variable, variable2 } = expression
    const inner = new Map(outer).set(variable, first)
    if (variable2 !== undefined) inner.set(variable2, second)
    const condition = this.compile(expression.condition, { slots: inner }).run
    const step = this.compile(expression.step, { slots: inner }).run
    const result = this.compile(expression.result, { slots: outer }).run
    return (slots, meter) => {
      const elements = elementsOf(range(slots, meter), variable2 !== undefined)
      slots[accumulator] = valueOrError(() => initial(slots, meter))
      for (const [one, two] of elements) {
        slots[first] = one
        slots[second] = two
        if (valueOrError(() => condition(slots, meter)) === false) break
        slots[accumulator] = valueOrError(() => step(slots, meter))
        meter.charge(STEPS_PER_ROUND)
      }
      return result(slots, meter)
    }
  }
}

/** What one round of a loop costs by itself. */
const STEPS_PER_ROUND = 4

/** A variable may be an error, which is one where the variable is read. */
type Element = readonly [Value | CelValueError, Value | CelValueError | undefined]

/** What the variables of a loop are, one after the other. */
function elementsOf(range: Value, hasTwo: boolean): Iterable<Element> {
  if (range instanceof List) {
    return hasTwo
      ? range.items.map((item, index): Element => [BigInt(index), item])
      : range.items.map((item): Element => [item, undefined])
  }
  if (range instanceof Fields) return range.elements().map((value): Element => [value, value])
  if (isMap(range)) return range.entries()
  throw new CelValueError(`a loop cannot go through a value of type ${typeName(range)}`)
}

function isEmptyList(expression: Expression | undefined): boolean {
  return expression?.kind === 'list' && expression.elements.length === 0
}

/**
 * Looking up bytes or a version in a constant list or map is a panic in cel-go, for want of a hash, and an
 * internal error of kube-apiserver.
 */
function refuseWithoutHash(operands: Step[]): void {
  const [element, range] = operands
  if (range === undefined || !isConstant(range)) return
  const run = runOf(element)
  operands[0] = computed((slots, meter) => {
    const value = run(slots, meter)
    const name = typeName(value)
    if (name === 'bytes' || name === 'kubernetes.Semver')
      throw new CelValueError(`a value of the type ${name} cannot be looked up`)
    return value
  })
}

function contentOf(value: Value): Value | undefined {
  if (value instanceof Optional) return value.content
  throw new CelValueError(`cannot initialize optional entry from ${typeName(value)}`)
}

function slotOf({ slots }: Scope, name: string): number {
  const slot = slots.get(name)
  if (slot === undefined) throw new TypeError(`there is no variable ${name}`)
  return slot
}

function variable(slot: number): Step {
  return computed((slots, meter) => {
    meter.charge(1)
    const value = slots[slot]
    if (value instanceof CelValueError) throw value
    if (value === undefined) throw new TypeError('a variable has no value')
    return value
  })
}

function constant(value: Value): Step {
  return { constant: value, run: () => value }
}

function computed(run: Program): Step {
  return { constant: undefined, run }
}

function isConstant(step: Step): boolean {
  return step.constant !== undefined
}

/** For a meter where nothing is counted: what is folded is evaluated once, when it is compiled. */
const FREE = { charge: () => undefined } as unknown as Meter

function folded(run: Program): Step {
  const value = valueOrError(() => run([], FREE))
  return value instanceof CelValueError ? computed(run) : { constant: value, run: () => value }
}

const CONVERSIONS: ReadonlySet<string> = new Set([
  ...['bool', 'bytes', 'double', 'duration', 'dyn', 'int', 'string', 'timestamp', 'type', 'uint'],
])

/** Conversions of constants are done at once; one that fails is an error of the expression. */
function foldConversion(call: Call, run: Program, operands: readonly Step[]): Step {
  const isFolded = CONVERSIONS.has(call.name) && operands.length === 1 && operands.every(isConstant)
  if (!isFolded) return computed(run)
  const value = asSyntaxError(call.offset, () => run([], FREE))
  return { constant: value, run: () => value }
}

/**
 * Functions that do not depend on the overload that the checker has found, which may be one of several for a
 * type that it does not know (the singleton bindings of cel-go common/stdlib/standard.go).
 */
const DECIDED_BY_VALUES: ReadonlySet<string> = new Set([
  ...['!_', '-_', '_+_', '_-_', '_*_', '_/_', '_%_', '_<_', '_<=_', '_>_', '_>=_', '@in'],
  ...['size', 'type', 'dyn', 'matches'],
])

/** Calls the first overload whose types are those of the arguments. */
function dispatch(
  name: string,
  overloads: readonly Overload[],
  operands: readonly Step[],
): Program {
  return (slots, meter) => {
    const args = operands.map(({ run }) => run(slots, meter))
    meter.charge(1 + lengthOf(args) / CHARACTERS_PER_STEP)
    for (const overload of overloads) {
      const { implementation } = overload
      if (implementation === undefined || !accepts(overload, args)) continue
      return (implementation as (meter: Meter, ...args: readonly Value[]) => Value)(meter, ...args)
    }
    const types = args.map(typeName).join(', ')
    throw new CelValueError(`no such overload: ${name}(${types})`)
  }
}

function lengthOf(args: readonly Value[]): number {
  let length = 0
  for (const arg of args) {
    if (typeof arg === 'string' || arg instanceof Uint8Array) length += arg.length
    else if (isOpaque(arg)) length += arg.text.length
  }
  return length
}

type Special = (operands: readonly Step[]) => Program

/** Functions that do not evaluate all of their arguments, or go on after an error. */
const SPECIAL: ReadonlyMap<string, Special> = new Map<string, Special>([
  ['_&&_', logical(false)],
  ['_||_', logical(true)],
  ['_?_:_', conditional],
  ['_==_', ([left, right]) => equality(left, right, true)],
  ['_!=_', ([left, right]) => equality(left, right, false)],
  ['@not_strictly_false', notStrictlyFalse],
  ['_[_]', ([value, key]) => accessor(value, key, get)],
  ['_?._', ([value, key]) => accessor(value, key, getOptional)],
  ['_[?_]', ([value, key]) => accessor(value, key, getOptional)],
  ['or', ([left, right]) => alternative(left, right, (optional) => optional)],
  ['orValue', ([left, right]) => alternative(left, right, ({ content }) => content ?? null)],
])

/** Either side decides alone if it is `decisive`, whatever the other one is, an error included. */
function logical(decisive: boolean): Special {
  return ([left, right]) => {
    const [first, second] = [runOf(left), runOf(right)]
    return (slots, meter) => {
      meter.charge(1)
      const one = valueOrError(() => first(slots, meter))
      if (one === decisive) return decisive
      const two = valueOrError(() => second(slots, meter))
      if (two === decisive) return decisive
      for (const value of [one, two]) {
        if (value instanceof CelValueError) throw value
        if (value !== !decisive) throw new CelValueError(`no such overload: ${typeName(value)}`)
      }
      return !decisive
    }
  }
}

function conditional([condition, yes, no]: readonly Step[]): Program {
  const [test, first, second] = [runOf(condition), runOf(yes), runOf(no)]
  return (slots, meter) => {
    meter.charge(1)
    const value = test(slots, meter)
    if (typeof value !== 'boolean') throw new CelValueError('no such overload')
    return rewrapped(value ? first(slots, meter) : second(slots, meter))
  }
}

/** Values of Kubernetes' own types, which cel-go does not know. */
const NOT_WRAPPED: ReadonlySet<string> = new Set([
  ...['net.IP', 'net.CIDR'],
  ...['kubernetes.URL', 'kubernetes.Semver'],
])

/**
 * Behind a condition, cel-go wraps the content of an optional anew, which fails for values of Kubernetes' own
 * types (interpreter/attributes.go). An expression that kube-apiserver cannot use must not give a user a name here.
 */
function rewrapped(value: Value): Value {
  if (!(value instanceof Optional) || value.content === undefined) return value
  const name = typeName(value.content)
  if (!NOT_WRAPPED.has(name)) return value
  throw new CelValueError(`a condition cannot have an optional ${name} as its value`)
}

function equality(left: Step | undefined, right: Step | undefined, expected: boolean): Program {
  const [first, second] = [runOf(left), runOf(right)]
  return (slots, meter) => {
    const [a, b] = [first(slots, meter), second(slots, meter)]
    // An address or a network is only equal to one (apiserver pkg/cel, Equal); `!=` takes the error for unequal.
    if (expected && isOpaque(a) && typeName(a) !== typeName(b))
      throw new CelValueError('no such overload')
    return isEqual(a, b, meter) === expected
  }
}

function notStrictlyFalse([operand]: readonly Step[]): Program {
  const run = runOf(operand)
  return (slots, meter) => valueOrError(() => run(slots, meter)) !== false
}

function accessor(
  value: Step | undefined,
  key: Step | undefined,
  access: (value: Value, key: Value) => Value,
): Program {
  const [first, second] = [runOf(value), runOf(key)]
  return (slots, meter) => {
    meter.charge(1)
    return access(first(slots, meter), second(slots, meter))
  }
}

/** The right side is evaluated only if the left one has no value. */
function alternative(
  left: Step | undefined,
  right: Step | undefined,
  present: (optional: Optional) => Value,
): Program {
  const [first, second] = [runOf(left), runOf(right)]
  return (slots, meter) => {
    meter.charge(1)
    const optional = first(slots, meter)
    // As in cel-go, a value that is not optional is its own result.
    if (!(optional instanceof Optional)) return optional
    return optional.content === undefined ? second(slots, meter) : present(optional)
  }
}

function runOf(step: Step | undefined): Program {
  if (step === undefined) throw new TypeError('the function has too few arguments')
  return step.run
}
