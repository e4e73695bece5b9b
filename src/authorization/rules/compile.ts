/**
 * Compiles AccessRules to an authorizer: deny overrides allow whatever the order, a request that no
 * rule matches gets the default of the file, and shadow rules are evaluated but never enforced.
 */
import type { Attributes, Authorizer, Decision, ShadowDecision } from '../authorizer.ts'
import { compileRule } from './compile-rule.ts'
import type { Condition } from './conditions/condition.ts'
import { createRuleIndex } from './rule-index.ts'
import type { AccessRule, AccessRules } from './schema.ts'
import { explainUnasserted } from './unasserted-groups.ts'

const NO_SHADOW: readonly ShadowDecision[] = []

interface CompiledRule {
  readonly effect: AccessRule['effect']
  readonly isShadow: boolean
  readonly matches: Condition
  /** What the rule decides; one object for all requests. */
  readonly decision: Decision
}

/**
 * The rules that one request matches, by position: the first enforced one of each effect, so that the
 * same request always names the same rule, and all shadow rules.
 */
interface Matches {
  deny: number
  allow: number
  shadow: number[]
}

const NONE = Number.MAX_SAFE_INTEGER

/** The authorizer decides synchronously, in time that hardly grows with the number of rules. */
export function compileRules(file: Pick<AccessRules, 'default' | 'rules'>): Authorizer {
  const index = createRuleIndex(file.rules)
  const rules = file.rules.map((rule): CompiledRule => ({
    effect: rule.effect,
    isShadow: rule.mode === 'shadow',
    matches: compileRule(rule),
    decision: decisionOf(rule),
  }))
  const byDefault: Decision =
    file.default === 'allow'
      ? { decision: 'allow', rule: '', reason: 'allowed by default', shadow: NO_SHADOW }
      : {
          decision: 'noOpinion',
          rule: '',
          reason: 'no Gatehouse rule allows this',
          shadow: NO_SHADOW,
        }

  const find = (attributes: Attributes): Matches =>
    findMatches(rules, index.candidates(attributes), attributes)
  const isAllowed = (attributes: Attributes): boolean => find(attributes).allow !== NONE

  return (attributes) => {
    const matches = find(attributes)
    const deny = rules[matches.deny]
    let decided = deny?.decision ?? rules[matches.allow]?.decision ?? byDefault
    if (attributes.user.unassertedGroups !== undefined) {
      decided = explainUnasserted(decided, deny?.matches, isAllowed, attributes)
    }
    if (matches.shadow.length === 0) return decided
    const shadow = shadowDecisions(rules, matches.shadow, decided)
    return shadow.length === 0 ? decided : { ...decided, shadow }
  }
}

function findMatches(
  rules: readonly CompiledRule[],
  candidates: readonly number[],
  attributes: Attributes,
): Matches {
  const matches: Matches = { deny: NONE, allow: NONE, shadow: [] }
  for (const position of candidates) {
    const rule = rules[position]
    if (rule === undefined || !couldChange(matches, rule, position)) continue
    if (!rule.matches(attributes)) continue
    if (rule.isShadow) matches.shadow.push(position)
    else matches[rule.effect] = position
  }
  return matches
}

function couldChange(
  matches: Matches,
  { isShadow, effect }: CompiledRule,
  position: number,
): boolean {
  return isShadow ? !matches.shadow.includes(position) : position < matches[effect]
}

/** Only what would change the outcome: a deny of an allowed request, an allow of one that no rule matches. */
function shadowDecisions(
  rules: readonly CompiledRule[],
  positions: readonly number[],
  decided: Decision,
): readonly ShadowDecision[] {
  const changing = { allow: 'deny', noOpinion: 'allow', deny: undefined }[decided.decision]
  return positions
    .toSorted((a, b) => a - b)
    .flatMap((position) => rules[position] ?? [])
    .filter(({ effect }) => effect === changing)
    .map(({ effect, decision }) => ({ rule: decision.rule, effect }))
}

function decisionOf({ name, effect, message }: AccessRule): Decision {
  const by = `Gatehouse rule ${JSON.stringify(name)}`
  const reason =
    effect === 'allow'
      ? `allowed by ${by}`
      : message === undefined
        ? `denied by ${by}`
        : `${message} (${by})`
  return { decision: effect, rule: name, reason, shadow: NO_SHADOW }
}
