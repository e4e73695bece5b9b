/** Finds what is wrong with the rules of a file: problems that keep it from loading, and warnings. */
import type { ConfigProblem } from '../../../config/problem.ts'
import type { Authorizer } from '../../authorizer.ts'
import type { AccessRule } from '../schema.ts'
import { findMissingBasics } from './clients.ts'
import { findDenialGaps } from './denial-gaps.ts'
import { compileDenials } from './denials.ts'
import { at, certain, type Finding, type RulesDocument } from './finding.ts'
import { findNames } from './names.ts'
import { findOrder } from './order.ts'
import { findPaths } from './paths.ts'
import { findResources } from './resources.ts'
import { findVerbs } from './verbs.ts'

export interface RuleFindings {
  /** A file that has any does not load. */
  readonly problems: readonly ConfigProblem[]
  /**
   * Warns of rules that load but may not do what was intended; expects that there are no problems.
   *
   * @param authorize the compiled rules
   */
  readonly warnings: (authorize: Authorizer) => readonly ConfigProblem[]
}

/** Looks at the rules one by one, and for the warnings at all of them together. */
export function findInRules(document: RulesDocument): RuleFindings {
  const { rules } = document.value
  const inRules = rules.map(findInRule)
  const names = new Set<string>()
  const problems = rules.flatMap((rule, i) => {
    const own = [...findRepeatedName(rule, names), ...findUnsupported(rule), ...(inRules[i] ?? [])]
    return own.filter(({ isCertain }) => isCertain).map((finding) => within(i, finding))
  })
  const warnings = (authorize: Authorizer): ConfigProblem[] => {
    const denials = compileDenials(rules)
    return [
      ...findOrder(rules),
      ...findMissingBasics(rules, authorize),
      ...rules.flatMap((rule, i) =>
        [...(inRules[i] ?? []), ...findDenialGaps(rule, denials)].map((finding) =>
          within(i, finding),
        ),
      ),
    ].map(place(document))
  }
  return { problems: problems.map(place(document)), warnings }
}

function findInRule(rule: AccessRule): Finding[] {
  return [...findVerbs(rule), ...findNames(rule), ...findPaths(rule), ...findResources(rule)]
}

function findRepeatedName({ name }: AccessRule, names: Set<string>): Finding[] {
  if (!names.has(name)) {
    names.add(name)
    return []
  }
  const message = `the name ${JSON.stringify(name)} is used more than once`
  return at(['name'], certain(message, 'give each rule a unique name'))
}

function findUnsupported({ when, resources, nonResourceURLs }: AccessRule): Finding[] {
  const found: Finding[] = []
  if (when !== undefined) {
    const message = 'conditions are not supported by this version'
    found.push(...at(['when'], certain(message, 'remove the field')))
  }
  if (resources === undefined && nonResourceURLs === undefined) {
    const fix = 'set resources, nonResourceURLs or both'
    found.push(...at([], certain('matches no request', fix)))
  }
  return found
}

function within(position: number, finding: Finding): Finding {
  return { ...finding, path: ['rules', position, ...finding.path] }
}

function place(document: RulesDocument): (finding: Finding) => ConfigProblem {
  return ({ path, message, fix }) => document.problem(path, message, fix)
}
