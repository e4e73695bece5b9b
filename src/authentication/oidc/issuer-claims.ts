import { partsOf, type Expression } from '../../cel/ast.ts'
import type { Issuer } from './authentication-config.ts'
import type { Source } from './claim-mappings.ts'
import { userClaimOf } from './issuer-access.ts'

/** The names of all claims that an issuer's mappings and rules read; of expressions, those that they name. */
export function issuerClaims({ claimMappings, rules, access }: Issuer): readonly string[] {
  const { username, groups, uid, extra } = claimMappings
  const expressions = [...extra, ...rules.claimRules].map(({ expression }) => expression.syntax)
  return [
    ...[username, groups, uid].flatMap((source) => (source === undefined ? [] : claimsOf(source))),
    ...(access?.groupSource === undefined ? [] : [userClaimOf(access.groupSource)]),
    ...rules.requiredClaims.map(({ claim }) => claim),
    ...expressions.flatMap(claimsIn),
  ]
}

function claimsOf(source: Source): readonly string[] {
  return 'claim' in source ? [source.claim] : claimsIn(source.expression.syntax)
}

/** Such as `email` of `claims.email`, `claims.?email` and `claims["email"]`. */
function claimsIn(expression: Expression): readonly string[] {
  const name = claimName(expression)
  return [...(name === undefined ? [] : [name]), ...partsOf(expression).flatMap(claimsIn)]
}

function claimName(expression: Expression): string | undefined {
  if (expression.kind === 'select') {
    return isClaims(expression.operand) ? expression.field : undefined
  }
  if (expression.kind !== 'call' || expression.args.length !== 2) return undefined
  const [operand, key] = expression.args
  const isName = key?.kind === 'literal' && typeof key.value === 'string'
  return isName && isClaims(operand) && typeof key.value === 'string' ? key.value : undefined
}

function isClaims(expression: Expression | undefined): boolean {
  return expression?.kind === 'identifier' && expression.name === 'claims'
}
