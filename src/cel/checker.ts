/** Finds the type of an expression and of each of its parts (cel-go checker/checker.go). */
import { assign, assignAll, mostGeneral, substitute, type Substitutions } from './assignable.ts'
import {
  qualifiedName,
  type Call,
  type Comprehension,
  type Expression,
  type List,
  type MapLiteral,
  type Select,
} from './ast.ts'
import { CelSyntaxError } from './error.ts'
import type { Functions, Overload } from './library.ts'
import {
  BOOL,
  DYN,
  formatType,
  INT,
  isDyn,
  isOptional,
  isSameType,
  listOf,
  mapOf,
  optionalOf,
  parameter,
  parameterOf,
  type Type,
} from './types.ts'
import { typeName } from './values.ts'

export interface Environment {
  readonly variables: ReadonlyMap<string, Type>
  /** Types by the name that expressions have for them. */
  readonly types: ReadonlyMap<string, Type>
  readonly functions: Functions
  /** The fields of each message. */
  readonly fields: ReadonlyMap<string, ReadonlyMap<string, Type>>
}

/** What is known of an expression that has been checked. */
export interface Checked {
  typeOf(expression: Expression): Type
  /** The overloads of a call that fit the types of its arguments. */
  overloadsOf(call: Call): readonly Overload[]
  /** Whether a call with a receiver is one of a function with a qualified name, such as `sets.contains`. */
  isQualified(call: Call): boolean
  /** Whether an expression is the name of a type. */
  namedType(expression: Expression): Type | undefined
}

type Scope = ReadonlyMap<string, Type>

/** @throws CelSyntaxError for the first part of the wrong type, or name that is not declared */
export function check(expression: Expression, environment: Environment): Checked {
  const checker = new Checker(environment)
  checker.check(expression, environment.variables)
  return checker
}

class Checker implements Checked {
  private readonly environment: Environment
  private readonly types = new Map<Expression, Type>()
  private readonly overloads = new Map<Call, readonly Overload[]>()
  private readonly qualified = new Set<Call>()
  private readonly named = new Map<Expression, Type>()
  private substitutions: Substitutions = new Map()
  private freeTypes = 0

  constructor(environment: Environment) {
    this.environment = environment
  }

  typeOf(expression: Expression): Type {
    return substitute(this.substitutions, this.rawTypeOf(expression), true)
  }

  overloadsOf(call: Call): readonly Overload[] {
    return this.overloads.get(call) ?? []
  }

  isQualified(call: Call): boolean {
    return this.qualified.has(call)
  }

  namedType(expression: Expression): Type | undefined {
    return this.named.get(expression)
  }

  check(expression: Expression, scope: Scope): Type {
    // The macro optMap has its receiver in two places.
    const known = this.types.get(expression)
    if (known !== undefined) return known
    const type = this.find(expression, scope)
    this.types.set(expression, type)
    return type
  }

  private find(expression: Expression, scope: Scope): Type {
    switch (expression.kind) {
      case 'literal':
        return literalType(typeName(expression.value), this.environment)
      case 'identifier':
        return this.identifier(expression, expression.name, scope)
      case 'select':
        return this.select(expression, scope)
      case 'call':
        return this.call(expression, scope)
      case 'list':
        return this.list(expression, scope)
      case 'map':
        return this.map(expression, scope)
      case 'comprehension':
        return this.comprehension(expression, scope)
    }
  }

  private rawTypeOf(expression: Expression): Type {
    return this.types.get(expression) ?? DYN
  }

  private identifier(expression: Expression, name: string, scope: Scope): Type {
    const type = this.lookUp(expression, name, scope)
    if (type !== undefined) return type
    throw new CelSyntaxError(expression.offset, `undeclared reference to '${name}'`)
  }

  private lookUp(expression: Expression, name: string, scope: Scope): Type | undefined {
    const variable = scope.get(name)
    if (variable !== undefined) return variable
    const type = this.environment.types.get(name)
    if (type !== undefined) this.named.set(expression, type)
    return type
  }

  private select(expression: Select, scope: Scope): Type {
    const name = qualifiedName(expression)
    const qualified = name === undefined ? undefined : this.lookUp(expression, name, scope)
    if (qualified !== undefined) return qualified
    const type = this.field(expression, expression.operand, expression.field, scope)
    return expression.isTest ? BOOL : substitute(this.substitutions, type)
  }

  /** The type of a field; of the field of an optional, an optional. */
  private field(at: Expression, operand: Expression, name: string, scope: Scope): Type {
    const type = substitute(this.substitutions, this.check(operand, scope))
    if (!isOptional(type)) return this.fieldOf(at, type, name)
    return optionalOf(this.fieldOf(at, parameterOf(type), name))
  }

  private fieldOf(at: Expression, type: Type, name: string): Type {
    if (type.kind === 'map') return parameterOf(type, 1)
    if (type.kind === 'struct') {
      const field = this.environment.fields.get(type.name)?.get(name)
      if (field === undefined) throw new CelSyntaxError(at.offset, `undefined field '${name}'`)
      return field
    }
    if (type.kind === 'parameter') this.assign(DYN, type)
    else if (!isDyn(type)) {
      const message = `type '${formatType(type)}' does not support field selection`
      throw new CelSyntaxError(at.offset, message)
    }
    return DYN
  }

  private call(expression: Call, scope: Scope): Type {
    const { args, target } = expression
    if (expression.name === '_?._') return this.optionalSelect(expression, scope)
    for (const arg of args) this.check(arg, scope)
    const qualifier = target === undefined ? undefined : qualifiedName(target)
    if (qualifier !== undefined) {
      const overloads = this.environment.functions.get(`${qualifier}.${expression.name}`)
      if (overloads !== undefined) {
        this.qualified.add(expression)
        return this.resolve(expression, `${qualifier}.${expression.name}`, overloads, args)
      }
    }
    if (target !== undefined) this.check(target, scope)
    const overloads = this.environment.functions.get(expression.name)
    if (overloads === undefined) {
      const message = `undeclared reference to '${expression.name}'`
      throw new CelSyntaxError(expression.offset, message)
    }
    const isMember = target !== undefined
    const candidates = overloads.filter((overload) => overload.isMember === isMember)
    const operands = isMember ? [target, ...args] : args
    return this.resolve(expression, expression.name, candidates, operands)
  }

  private optionalSelect(expression: Call, scope: Scope): Type {
    const [operand, name] = expression.args
    if (operand === undefined || name?.kind !== 'literal' || typeof name.value !== 'string') {
      throw new CelSyntaxError(expression.offset, 'invalid optional field selection')
    }
    const type = this.field(expression, operand, name.value, scope)
    return substitute(this.substitutions, isOptional(type) ? type : optionalOf(type))
  }

  /** Every overload that fits is a candidate at run time; results of several types are `dyn`. */
  private resolve(
    expression: Call,
    name: string,
    overloads: readonly Overload[],
    operands: readonly Expression[],
  ): Type {
    const types = operands.map((operand) => this.rawTypeOf(operand))
    const fitting: Overload[] = []
    let result: Type | undefined
    for (const overload of overloads) {
      const { parameters, result: own } = this.instantiate(overload)
      const assigned = assignAll(this.substitutions, types, parameters)
      if (assigned === undefined) continue
      this.substitutions = assigned
      fitting.push(overload)
      const type = substitute(assigned, own)
      result =
        result === undefined || isDyn(result) || isSameType(type, result) ? (result ?? type) : DYN
    }
    if (result === undefined) throw this.noOverload(expression, name, types)
    if (fitting.some(({ implementation }) => implementation === undefined)) {
      throw new CelSyntaxError(expression.offset, `the function ${name} is not supported`)
    }
    this.overloads.set(expression, fitting)
    return result
  }

  private noOverload(expression: Call, name: string, types: readonly Type[]): CelSyntaxError {
    const shown = types.map((type) => formatType(substitute(this.substitutions, type, true)))
    const [first = '', ...others] = shown
    const isMember = expression.target !== undefined && !this.qualified.has(expression)
    const applied = isMember ? `${first}.(${others.join(', ')})` : `(${shown.join(', ')})`
    const message = `found no matching overload for '${name}' applied to '${applied}'`
    return new CelSyntaxError(expression.offset, message)
  }

  private instantiate({ typeParameters, parameters, result }: Overload): {
    readonly parameters: readonly Type[]
    readonly result: Type
  } {
    if (typeParameters.length === 0) return { parameters, result }
    const fresh = new Map(typeParameters.map((name) => [name, this.freeType()]))
    return {
      parameters: parameters.map((type) => substitute(fresh, type)),
      result: substitute(fresh, result),
    }
  }

  private list({ elements }: List, scope: Scope): Type {
    let joined: Type | undefined
    for (const { value, isOptional: isOptionalElement } of elements) {
      const type = this.check(value, scope)
      joined = this.join(joined, isOptionalElement ? this.unwrap(value, type) : type)
    }
    return listOf(joined ?? this.freeType())
  }

  private map({ entries }: MapLiteral, scope: Scope): Type {
    let keys: Type | undefined
    let values: Type | undefined
    for (const { key, value, isOptional: isOptionalEntry } of entries) {
      keys = this.join(keys, this.check(key, scope))
      const type = this.check(value, scope)
      values = this.join(values, isOptionalEntry ? this.unwrap(value, type) : type)
    }
    return mapOf(keys ?? this.freeType(), values ?? this.freeType())
  }

  private unwrap(value: Expression, type: Type): Type {
    if (isOptional(type)) return parameterOf(type)
    if (isDyn(type)) return type
    throw mismatch(value, optionalOf(type), type)
  }

  /** The type of elements of both types; literals.ts refuses most lists where they differ. */
  private join(previous: Type | undefined, current: Type): Type {
    if (previous === undefined) return current
    return this.assign(previous, current) ? mostGeneral(previous, current) : DYN
  }

  private comprehension(expression: Comprehension, scope: Scope): Type {
    const { variable, variable2, accumulator } = expression
    const range = substitute(this.substitutions, this.check(expression.range, scope))
    const accumulated = this.check(expression.initial, scope)
    const outer = new Map([...scope, [accumulator, accumulated]])
    const [first, second] = this.elementsOf(expression.range, range)
    const inner = new Map(outer)
    if (variable2 === undefined) inner.set(variable, range.kind === 'list' ? second : first)
    else inner.set(variable, first).set(variable2, second)
    this.expect(expression.condition, this.check(expression.condition, inner), BOOL)
    this.expect(expression.step, this.check(expression.step, inner), accumulated)
    return substitute(this.substitutions, this.check(expression.result, outer))
  }

  /** Index and element of a list, key and value of a map. */
  private elementsOf(at: Expression, range: Type): readonly [Type, Type] {
    if (range.kind === 'list') return [INT, parameterOf(range)]
    if (range.kind === 'map') return [parameterOf(range), parameterOf(range, 1)]
    if (range.kind === 'dyn' || range.kind === 'parameter') {
      this.assign(DYN, range)
      return [DYN, DYN]
    }
    const hint = range.kind === 'any' ? '; convert it with dyn()' : ''
    const message = `expression of type '${formatType(range)}' cannot be range of a comprehension (must be list, map, or dynamic)${hint}`
    throw new CelSyntaxError(at.offset, message)
  }

  private expect(at: Expression, actual: Type, expected: Type): void {
    if (!this.assign(expected, actual)) {
      const known = (type: Type): Type => substitute(this.substitutions, type, true)
      throw mismatch(at, known(expected), known(actual))
    }
  }

  private assign(from: Type, to: Type): boolean {
    const assigned = assign(this.substitutions, from, to)
    if (assigned !== undefined) this.substitutions = assigned
    return assigned !== undefined
  }

  private freeType(): Type {
    return parameter(`_var${this.freeTypes++}`)
  }
}

function literalType(name: string, { types }: Environment): Type {
  return parameterOf(types.get(name) ?? DYN)
}

function mismatch({ offset }: Expression, expected: Type, actual: Type): CelSyntaxError {
  const message = `expected type '${formatType(expected)}' but found '${formatType(actual)}'`
  return new CelSyntaxError(offset, message)
}
