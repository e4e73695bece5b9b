import { partsOf, type Expression } from '../../cel/ast.ts'

/**
 * Whether an expression has `claims.NAME` or `claims.?NAME` somewhere, as kube-apiserver looks for it
 * (`hasSelectExp` of pkg/apis/apiserver/validation): `claims["NAME"]` does not count.
 */
export function usesClaim(expression: Expression, name: string): boolean {
  return isClaim(expression, name) || partsOf(expression).some((part) => usesClaim(part, name))
}

function isClaim(expression: Expression, name: string): boolean {
  if (expression.kind === 'select') {
    return isClaims(expression.operand) && expression.field === name
  }
  if (expression.kind !== 'call' || expression.name !== '_?._') return false
  const [operand, field] = expression.args
  return isClaims(operand) && field?.kind === 'literal' && field.value === name
}

function isClaims(expression: Expression | undefined): boolean {
  return expression?.kind === 'identifier' && expression.name === 'claims'
}
