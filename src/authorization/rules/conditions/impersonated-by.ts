import type { ConditionCompiler } from './condition.ts'
import { compileUser } from './subjects.ts'

/** Matches only requests that one of these users makes as another one; groups as in `subjects`. */
export const compileImpersonatedBy: ConditionCompiler<'impersonatedBy'> = ({
  impersonatedBy,
  effect,
}) => {
  if (impersonatedBy === undefined) return undefined
  const matches = compileUser(impersonatedBy, effect)
  return ({ impersonator }) => impersonator !== undefined && matches(impersonator)
}
