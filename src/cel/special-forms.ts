/** Functions and operators that cel-go plans in ways of their own (interpreter/planner.go, interpretable.go). */
import { get, getOptional } from './access.ts'
import { isEqual } from './compare.ts'
import { CelValueError, valueOrError } from './error.ts'
import { runOf, type Program, type Step } from './step.ts'
import { isOpaque, Optional, typeName, TypeValue, type Value } from './values.ts'

type Special = (operands: readonly Step[]) => Program

/** Functions that do not evaluate all of their arguments, or go on after an error. */
export const SPECIAL_FORMS: ReadonlyMap<string, Special> = new Map<string, Special>([
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

/** Kubernetes' own types, which cel-go does not know. */
const KUBERNETES_TYPES: ReadonlySet<string> = new Set([
  ...['net.IP', 'net.CIDR'],
  ...['kubernetes.URL', 'kubernetes.Semver'],
])

/**
 * When a conditional returns an optional, cel-go wraps its content again (interpreter/attributes.go): an optional
 * in it becomes its content, and a type its name.
 */
function rewrapped(value: Value): Value {
  if (!(value instanceof Optional) || value.content === undefined) return value
  return Optional.of(unwrapped(value.content))
}

/**
 * @throws CelValueError for a value of Kubernetes' own types: kube-apiserver could not use the optional, and a user
 * must not get a name here that kube-apiserver would not give
 */
function unwrapped(value: Value): Value {
  if (value instanceof Optional)
    return value.content === undefined ? null : unwrapped(value.content)
  if (value instanceof TypeValue) return value.name
  const name = typeName(value)
  if (!KUBERNETES_TYPES.has(name)) return value
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
