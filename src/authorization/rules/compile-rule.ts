/** Compiles one rule to a predicate. The effect and the mode of the rule are applied by `compile.ts`. */
import type { Attributes } from '../authorizer.ts'
import type { ConditionCompiler } from './conditions/condition.ts'
import { compileImpersonatedBy } from './conditions/impersonated-by.ts'
import { compileNonResourceURLs } from './conditions/non-resource-urls.ts'
import { compileResources } from './conditions/resources.ts'
import { compileSubjects } from './conditions/subjects.ts'
import { compileVerbs } from './conditions/verbs.ts'
import type { AccessRule, ConditionField } from './schema.ts'

/**
 * The compiler of every condition, in the order in which conditions are evaluated: the cheapest and
 * most selective first. A condition field of the schema that is missing here is a type error.
 */
const compilers: { readonly [Field in ConditionField]: ConditionCompiler<Field> } = {
  verbs: compileVerbs,
  resources: compileResources,
  nonResourceURLs: compileNonResourceURLs,
  subjects: compileSubjects,
  impersonatedBy: compileImpersonatedBy,
}

const fields = Object.keys(compilers) as ConditionField[]

/**
 * Compiles a rule once, so that a request only runs predicates.
 *
 * @returns whether a request meets every condition of the rule; on the resolved RequestInfo, never on
 * the text of the URL
 */
export function compileRule(rule: AccessRule): (attributes: Attributes) => boolean {
  const conditions = fields.flatMap((field) => compilers[field](rule) ?? [])
  return (attributes) => {
    for (const condition of conditions) if (!condition(attributes)) return false
    return true
  }
}
