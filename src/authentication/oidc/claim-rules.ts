/** Rules that claims and users must meet (`claimValidationRules`, `userValidationRules`). */
import type { Value } from '../../cel/values.ts'
import type { UserInfo } from '../authenticator.ts'
import { unauthorized } from '../bearer.ts'
import type { TokenClaims } from './claim-mappings.ts'
import { evaluateFor, userVariable, type Expression } from './expressions.ts'
import { ownMember, type JsonObject } from './strict-json.ts'

export interface RequiredClaim {
  readonly claim: string
  readonly requiredValue: string
}

export interface ExpressionRule {
  readonly expression: Expression
  /** What the administrator says about a token that does not meet it; may be empty. */
  readonly message: string
}

export interface ValidationRules {
  readonly requiredClaims: readonly RequiredClaim[]
  readonly claimRules: readonly ExpressionRule[]
  readonly userRules: readonly ExpressionRule[]
}

/** Throws StatusError 401 unless the claims, and the user that they were mapped to, meet all rules. */
export function checkRules(claims: TokenClaims, user: UserInfo, rules: ValidationRules): void {
  checkRequiredClaims(claims.json, rules.requiredClaims)
  for (const rule of rules.claimRules) checkRule('claimValidationRules', rule, claims.variable)
  if (rules.userRules.length === 0) return
  const variable = userVariable(user)
  for (const rule of rules.userRules) checkRule('userValidationRules', rule, variable)
}

/** A claim of null is an empty one, as in Go. */
function checkRequiredClaims(claims: JsonObject, required: readonly RequiredClaim[]): void {
  for (const { claim, requiredValue } of required) {
    const value = ownMember(claims, claim)
    if ((value === null ? '' : value) !== requiredValue) {
      throw unauthorized(
        `the claim ${claim} does not have the value that claimValidationRules require`,
      )
    }
  }
}

function checkRule(list: string, { expression, message }: ExpressionRule, input: Value): void {
  const rule = `the rule ${JSON.stringify(expression.text)} of ${list}`
  if (evaluateFor(rule, expression, input) === true) return
  throw unauthorized(`${rule} is not met${message === '' ? '' : `: ${message}`}`)
}
