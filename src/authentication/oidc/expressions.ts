/** CEL expressions of `AuthenticationConfiguration` (apiserver pkg/authentication/cel), which map and check claims. */
import { compileExpression, type CompiledExpression } from '../../cel/compile.ts'
import { createEnvironment } from '../../cel/environment.ts'
import { CelCostError, CelValueError } from '../../cel/error.ts'
import { Fields, fromJson } from '../../cel/json-values.ts'
import { List, type Value } from '../../cel/values.ts'
import type { UserInfo } from '../authenticator.ts'
import { unauthorized } from '../bearer.ts'
import { quote } from '../quote.ts'
import type { JsonObject } from './strict-json.ts'

/** Which variable an expression has: the claims of a token, or the user that they were mapped to. */
export type Variable = 'claims' | 'user'

const environments = {
  claims: createEnvironment({ claims: 'map(string, google.protobuf.Any)' }),
  user: createEnvironment({
    user: {
      message: 'kubernetes.UserInfo',
      fields: {
        ...{ username: 'string', uid: 'string', groups: 'list(string)' },
        extra: 'map(string, list(string))',
      },
    },
  }),
}

export interface Expression extends Pick<CompiledExpression, 'type' | 'syntax'> {
  readonly text: string
  readonly evaluate: (input: Value) => Value
}

/** @throws CelSyntaxError for an expression that kube-apiserver would refuse, or that is not supported */
export function compileFor(variable: Variable, text: string): Expression {
  const compiled = compileExpression(text, environments[variable])
  const { type, syntax } = compiled
  return { text, type, syntax, evaluate: (input) => compiled.evaluate({ [variable]: input }) }
}

/** The claims of a token as the variable `claims`. */
export function claimsVariable(claims: JsonObject): Value {
  const fields = Object.entries(claims).map(
    ([name, json]) => [name.toWellFormed(), () => fromJson(json)] as const,
  )
  return new Fields('kubernetes.claims', new Map(fields))
}

/** A mapped user as the variable `user`. */
export function userVariable({ username, uid, groups, extra }: UserInfo): Value {
  return new Fields(
    'kubernetes.UserInfo',
    new Map<string, () => Value>([
      ['username', () => username],
      ['uid', () => uid],
      ['groups', () => fromJson(groups)],
      ['extra', () => fromJson(extra)],
    ]),
  )
}

/**
 * Evaluates an expression for a token; `what` is it in the reason of the refusal.
 *
 * @throws StatusError 401 when it has no value, or costs too much
 */
export function evaluateFor(what: string, expression: Expression, input: Value): Value {
  try {
    return expression.evaluate(input)
  } catch (error) {
    if (error instanceof CelValueError || error instanceof CelCostError) {
      throw unauthorized(`${what} has no value for this token: ${quote(error.message)}`)
    }
    throw error
  }
}

/**
 * The strings that a value stands for, as in kube-apiserver: a string or a list of strings, without those
 * that are empty; null is none.
 *
 * @throws StatusError 401 for another value
 */
export function stringsOf(what: string, value: Value): readonly string[] {
  if (value === null) return []
  if (typeof value === 'string') return value === '' ? [] : [value]
  if (!(value instanceof List)) throw unauthorized(`${what} is not a string or a list of strings`)
  if (value.isGoStrings) {
    throw unauthorized(
      `${what} is the result of split() or findAll(), which kube-apiserver refuses as well: write .map(x, x) behind it`,
    )
  }
  return value.items.flatMap((item) => {
    if (typeof item !== 'string') throw unauthorized(`${what} has an element that is not a string`)
    return item === '' ? [] : [item]
  })
}
