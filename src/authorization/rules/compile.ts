/**
 * AccessRules as an authorizer: deny overrides allow whatever the order, no match is the file's
 * default, shadow rules are evaluated and never enforced.
 */
import type { Attributes, Authorizer, Decision, ShadowDecision } from '../authorizer.ts'
import { ruleMatches } from './match.ts'
import { createRuleIndex } from './rule-index.ts'
import type { AccessRule, AccessRules } from './schema.ts'

const NO_SHADOW: readonly ShadowDecision[] = []

/** What one request matched: the first of each kind in file order, so that answers are stable. */
interface Matches {
  deny: number
  allow: number
  shadow: number[]
}

const NONE = Number.MAX_SAFE_INTEGER

/** Compiles once; the authorizer answers synchronously, in time that does not grow with the rules. */
export function compileRules(file: Pick<AccessRules, 'default' | 'rules'>): Authorizer {
  const { rules } = file
  const index = createRuleIndex(rules)
  const decisions = rules.map(decisionOf)
  const byDefault: Decision =
    file.default === 'allow'
      ? { decision: 'allow', rule: '', reason: 'allowed by default', shadow: NO_SHADOW }
      : {
          decision: 'noOpinion',
          rule: '',
          reason: 'no Gatehouse rule allows this',
          shadow: NO_SHADOW,
        }

  return (attributes) => {
    const matches = findMatches(rules, index.candidates(attributes), attributes)
    const decided = decisions[matches.deny] ?? decisions[matches.allow] ?? byDefault
    if (matches.shadow.length === 0) return decided
    const shadow = shadowDecisions(rules, matches, decided)
    return shadow.length === 0 ? decided : { ...decided, shadow }
  }
}

function findMatches(
  rules: readonly AccessRule[],
  candidates: readonly number[],
  attributes: Attributes,
): Matches {
  const matches: Matches = { deny: NONE, allow: NONE, shadow: [] }
  for (const position of candidates) {
    const rule = rules[position]
    if (rule === undefined || !couldChange(matches, rule, position)) continue
    if (!ruleMatches(rule, attributes)) continue
    if (rule.mode === 'shadow') matches.shadow.push(position)
    else matches[rule.effect] = position
  }
  return matches
}

function couldChange(matches: Matches, { mode, effect }: AccessRule, position: number): boolean {
  return mode === 'shadow' ? !matches.shadow.includes(position) : position < matches[effect]
}

/** Only what would have come out otherwise: a deny of what passed, an allow of what nothing allowed. */
function shadowDecisions(
  rules: readonly AccessRule[],
  matches: Matches,
  decided: Decision,
): readonly ShadowDecision[] {
  const changing = { allow: 'deny', noOpinion: 'allow', deny: undefined }[decided.decision]
  return matches.shadow
    .toSorted((a, b) => a - b)
    .flatMap((position) => rules[position] ?? [])
    .filter(({ effect }) => effect === changing)
    .map(({ name, effect }) => ({ rule: name, effect }))
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
