/**
 * The macros of Kubernetes' environment: those of CEL (cel-go parser/macro.go), of optional values
 * (cel/library.go), with two variables (ext/comprehensions.go) and `sortBy` (ext/lists.go). Each expands
 * to what it expands to there.
 */
import type { Comprehension, Expression, Identifier, Literal } from './ast.ts'
import { CelSyntaxError } from './error.ts'
import type { Value } from './values.ts'

type Expand = (offset: number, target: Expression, args: readonly Expression[]) => Expression

/** No identifier can be written like this, so no expression can name the accumulator. */
const ACCUMULATOR = '@result'
/** The name that it had in earlier versions of cel-go, which still must not name a variable. */
const FORMER_ACCUMULATOR = '__result__'
const SORT_INPUT = '@__sortBy_input__'

const receivers: Readonly<Record<string, Expand | undefined>> = {
  'all:2': (offset, range, args) => quantifier(offset, range, args, 'all'),
  'all:3': (offset, range, args) => quantifier(offset, range, args, 'all'),
  'exists:2': (offset, range, args) => quantifier(offset, range, args, 'exists'),
  'exists:3': (offset, range, args) => quantifier(offset, range, args, 'exists'),
  'exists_one:2': existsOne,
  'exists_one:3': existsOne,
  'existsOne:3': existsOne,
  'map:2': (offset, range, [x, transform]) => transformed(offset, range, [x], transform),
  'map:3': (offset, range, [x, filter, transform]) =>
    transformed(offset, range, [x], transform, filter),
  'filter:2': (offset, range, [x, filter]) => transformed(offset, range, [x], x, filter),
  'transformList:3': (offset, range, [x, y, transform]) =>
    transformed(offset, range, [x, y], transform),
  'transformList:4': (offset, range, [x, y, filter, transform]) =>
    transformed(offset, range, [x, y], transform, filter),
  'transformMap:3': (offset, range, [x, y, transform]) =>
    mapped(offset, range, [x, y], [x, transform]),
  'transformMap:4': (offset, range, [x, y, filter, transform]) =>
    mapped(offset, range, [x, y], [x, transform], filter),
  'transformMapEntry:3': (offset, range, [x, y, entry]) => mapped(offset, range, [x, y], [entry]),
  'transformMapEntry:4': (offset, range, [x, y, filter, entry]) =>
    mapped(offset, range, [x, y], [entry], filter),
  'optMap:2': (offset, target, args) =>
    ifPresent(offset, target, call(offset, 'optional.of', [boundValue(offset, target, args)])),
  'optFlatMap:2': (offset, target, args) =>
    ifPresent(offset, target, boundValue(offset, target, args)),
  'sortBy:2': sortBy,
}

/** What a macro expands to; undefined if a call is none. `target` is undefined for a global call. */
export function expandMacro(
  offset: number,
  name: string,
  target: Expression | undefined,
  args: readonly Expression[],
): Expression | undefined {
  if (target === undefined)
    return name === 'has' && args.length === 1 ? has(offset, args) : undefined
  const key = `${name}:${args.length}`
  return Object.hasOwn(receivers, key) ? receivers[key]?.(offset, target, args) : undefined
}

function has(offset: number, [field]: readonly Expression[]): Expression {
  if (field?.kind !== 'select' || field.isTest) {
    throw new CelSyntaxError(offset, 'invalid argument to has() macro')
  }
  return { ...field, isTest: true }
}

function quantifier(
  offset: number,
  range: Expression,
  args: readonly Expression[],
  kind: 'all' | 'exists',
): Expression {
  const isAll = kind === 'all'
  const accumulator = identifier(offset, ACCUMULATOR)
  const going = isAll ? accumulator : call(offset, '!_', [accumulator])
  return loop(offset, range, args.slice(0, -1), {
    initial: literal(offset, isAll),
    condition: call(offset, '@not_strictly_false', [going]),
    step: call(offset, isAll ? '_&&_' : '_||_', [accumulator, last(args)]),
    result: accumulator,
  })
}

function existsOne(offset: number, range: Expression, args: readonly Expression[]): Expression {
  const accumulator = identifier(offset, ACCUMULATOR)
  const one = literal(offset, 1n)
  const more = call(offset, '_+_', [accumulator, one])
  return loop(offset, range, args.slice(0, -1), {
    initial: literal(offset, 0n),
    condition: literal(offset, true),
    step: call(offset, '_?_:_', [last(args), more, accumulator]),
    result: call(offset, '_==_', [accumulator, one]),
  })
}

type Args = readonly (Expression | undefined)[]

/** A list of one value for each element that passes the filter. */
function transformed(
  offset: number,
  range: Expression,
  variables: Args,
  transform: Expression | undefined,
  filter?: Expression,
): Expression {
  const accumulator = identifier(offset, ACCUMULATOR)
  const elements = [{ isOptional: false, value: given(transform) }]
  // `@append` is the `_+_` of lists, which adds to the accumulator in place.
  const added = call(offset, '@append', [accumulator, { kind: 'list', offset, elements }])
  return loop(offset, range, variables, {
    initial: { kind: 'list', offset, elements: [] },
    condition: literal(offset, true),
    step: filter === undefined ? added : call(offset, '_?_:_', [filter, added, accumulator]),
    result: accumulator,
  })
}

/** A map to which each element that passes the filter adds one entry. */
function mapped(
  offset: number,
  range: Expression,
  variables: Args,
  entry: Args,
  filter?: Expression,
): Expression {
  const accumulator = identifier(offset, ACCUMULATOR)
  const added = call(offset, 'cel.@mapInsert', [accumulator, ...entry.map(given)])
  return loop(offset, range, variables, {
    initial: { kind: 'map', offset, entries: [] },
    condition: literal(offset, true),
    step: filter === undefined ? added : call(offset, '_?_:_', [filter, added, accumulator]),
    result: accumulator,
  })
}

function loop(
  offset: number,
  range: Expression,
  variables: Args,
  parts: Pick<Comprehension, 'initial' | 'condition' | 'step' | 'result'>,
): Comprehension {
  const [first, second] = variables.map((variable) => variableName(given(variable)))
  if (first === second) {
    throw new CelSyntaxError(offset, `duplicate variable name: ${String(first)}`)
  }
  return {
    ...{ kind: 'comprehension', offset, range, accumulator: ACCUMULATOR, ...parts },
    variable: first ?? '',
    variable2: second,
  }
}

function variableName(argument: Expression): string {
  if (argument.kind !== 'identifier') {
    throw new CelSyntaxError(argument.offset, 'argument must be a simple name')
  }
  if (argument.name === FORMER_ACCUMULATOR) {
    throw new CelSyntaxError(argument.offset, 'iteration variable overwrites accumulator variable')
  }
  return argument.name
}

function ifPresent(offset: number, target: Expression, value: Expression): Expression {
  const isPresent = call(offset, 'hasValue', [], target)
  return call(offset, '_?_:_', [isPresent, value, call(offset, 'optional.none', [])])
}

/** The second argument, with the value of the optional bound to the name that is the first. */
function boundValue(offset: number, target: Expression, args: readonly Expression[]): Expression {
  const [variable, value] = args
  if (variable?.kind !== 'identifier') {
    throw new CelSyntaxError(offset, 'variable name must be a simple identifier')
  }
  return bind(offset, variable.name, call(offset, 'value', [], target), given(value))
}

/** A loop over nothing, whose accumulator is the bound variable. */
function bind(offset: number, name: string, value: Expression, result: Expression): Comprehension {
  return {
    ...{ kind: 'comprehension', offset, range: { kind: 'list', offset, elements: [] } },
    ...{ variable: '#unused', variable2: undefined, accumulator: name, initial: value },
    ...{ condition: literal(offset, false), step: identifier(offset, name), result },
  }
}

function sortBy(offset: number, target: Expression, args: readonly Expression[]): Expression {
  if (target.kind === 'map' || target.kind === 'literal') {
    throw new CelSyntaxError(offset, 'sortBy can only be applied to a list')
  }
  const input = identifier(offset, SORT_INPUT)
  const keys = transformed(offset, input, [args[0]], args[1])
  return bind(offset, SORT_INPUT, target, call(offset, '@sortByAssociatedKeys', [keys], input))
}

function given(argument: Expression | undefined): Expression {
  if (argument === undefined) throw new TypeError('the macro has too few arguments')
  return argument
}

function last(args: readonly Expression[]): Expression {
  return given(args.at(-1))
}

function identifier(offset: number, name: string): Identifier {
  return { kind: 'identifier', offset, name }
}

function literal(offset: number, value: Value): Literal {
  return { kind: 'literal', offset, value }
}

function call(
  offset: number,
  name: string,
  args: readonly Expression[],
  target?: Expression,
): Expression {
  return { kind: 'call', offset, name, args, target }
}
