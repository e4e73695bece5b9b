import type { Attributes } from '../../authorizer.ts'
import type { AccessRule, ConditionField } from '../schema.ts'

/** Whether a request meets one condition of a rule. Pure, and called for every candidate rule of a request. */
export type Condition = (attributes: Attributes) => boolean

/**
 * Compiles one field of a rule. Returns undefined when every request meets the condition. An omitted
 * field is undefined here, and its compiler decides what that means.
 *
 * The effect is passed because ambiguous requests must fail closed: a condition may be narrower for an
 * allow rule than for a deny rule.
 */
export type ConditionCompiler<Field extends ConditionField> = (
  rule: Pick<AccessRule, Field | 'effect'>,
) => Condition | undefined
