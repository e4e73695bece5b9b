/** Explains refusals that depend on groups of a user that are not known or not usable. */
import type { Attributes, Decision } from '../authorizer.ts'
import type { Condition } from './conditions/condition.ts'

const UNKNOWN =
  'the token has no groups claim, so every deny rule for groups applies and no allow rule for groups ' +
  'does; request the scope for groups at the next sign-in'
const UNUSABLE =
  'a group of the user has a name that cannot be sent to the API server, so only deny rules count it; ' +
  'rename the group at the issuer'

/**
 * Adds to the reason of a refusal what the unasserted groups of the user have to do with it. A deny
 * rule that matches without them needs no explanation.
 *
 * @param isDenied the condition of the deny rule that decided; undefined when none did
 */
export function explainUnasserted(
  decision: Decision,
  isDenied: Condition | undefined,
  attributes: Attributes,
): Decision {
  const { unassertedGroups, ...certain } = attributes.user
  if (decision.decision === 'allow') return decision
  if (isDenied?.({ ...attributes, user: certain }) === true) return decision
  const explanation = unassertedGroups === 'unknown' ? UNKNOWN : UNUSABLE
  return { ...decision, reason: `${decision.reason}: ${explanation}` }
}
