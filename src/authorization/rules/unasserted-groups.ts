/** Explains refusals that depend on groups of a user that are not known or not asserted. */
import type { Attributes, Decision } from '../authorizer.ts'
import type { Condition } from './conditions/condition.ts'

const UNKNOWN =
  'the token has no groups claim, so every deny rule for groups applies and no allow rule for groups ' +
  'does; request the scope for groups at the next sign-in'
const UNASSERTED =
  'a group of the user is not sent to the API server, since allowedGroups does not list it or its name ' +
  'cannot be sent, so only deny rules count it; list or rename the group'

/**
 * Adds to the reason of a refusal what the unasserted groups of the user have to do with it. A deny
 * rule that matches without them needs no explanation, and neither does a refusal that members of these
 * groups get as well.
 *
 * @param isDenied the condition of the deny rule that decided; undefined when none did
 * @param isAllowed whether an allow rule matches
 */
export function explainUnasserted(
  decision: Decision,
  isDenied: Condition | undefined,
  isAllowed: Condition,
  attributes: Attributes,
): Decision {
  const { unassertedGroups, ...certain } = attributes.user
  if (decision.decision === 'allow') return decision
  if (isDenied?.({ ...attributes, user: certain }) === true) return decision
  if (unassertedGroups === undefined) return decision
  if (unassertedGroups === 'unknown') return explained(decision, UNKNOWN)
  const member = { ...certain, groups: [...certain.groups, ...unassertedGroups] }
  if (isDenied === undefined && !isAllowed({ ...attributes, user: member })) return decision
  return explained(decision, UNASSERTED)
}

function explained(decision: Decision, explanation: string): Decision {
  return { ...decision, reason: `${decision.reason}: ${explanation}` }
}
