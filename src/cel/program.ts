/** Turns a checked expression into a function (cel-go interpreter/planner.go, interpretable.go). */
import { get, isPresent } from './access.ts'
import type {
  Call,
  Comprehension,
  Expression,
  Identifier,
  List as ListExpression,
  MapLiteral,
} from './ast.ts'
import type { Checked, Environment } from './checker.ts'
import { dispatch } from './dispatch.ts'
import { CelSyntaxError, CelValueError, valueOrError } from './error.ts'
import { Fields } from './json-values.ts'
import { asSyntaxError } from './literals.ts'
import { SPECIAL_FORMS } from './special-forms.ts'
import {
  computed,
  constant,
  evaluated,
  folded,
  isConstant,
  runOf,
  type Program,
  type Step,
} from './step.ts'
import { isMap, List, Optional, PlainMap, typeName, TypeValue, type Value } from './values.ts'

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

  /** As in cel-go (interpreter/planner.go): of types, only names of types may be identifiers, not variables. */
  private requireNoType(identifier: Identifier): void {
    if (this.options.checked.typeOf(identifier).kind !== 'type') return
    throw new CelSyntaxError(identifier.offset, `reference to undefined type: ${identifier.name}`)
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
    const special = SPECIAL_FORMS.get(expression.name)
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

const CONVERSIONS: ReadonlySet<string> = new Set([
  ...['bool', 'bytes', 'double', 'duration', 'dyn', 'int', 'string', 'timestamp', 'type', 'uint'],
])

/** Conversions of constants are done at once; one that fails is an error of the expression. */
function foldConversion(call: Call, run: Program, operands: readonly Step[]): Step {
  const isFolded = CONVERSIONS.has(call.name) && operands.length === 1 && operands.every(isConstant)
  if (!isFolded) return computed(run)
  return constant(asSyntaxError(call.offset, () => evaluated(run)))
}

/**
 * Functions that do not depend on the overload that the checker has found, which may be one of several for a
 * type that it does not know (the singleton bindings of cel-go common/stdlib/standard.go).
 */
const DECIDED_BY_VALUES: ReadonlySet<string> = new Set([
  ...['!_', '-_', '_+_', '_-_', '_*_', '_/_', '_%_', '_<_', '_<=_', '_>_', '_>=_', '@in'],
  ...['size', 'type', 'dyn', 'matches'],
])
