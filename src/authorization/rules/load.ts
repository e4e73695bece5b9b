/** Loads a rules file: reads it, checks it for mistakes, compiles it and runs the tests in it. */
import type { UserInfo } from '../../authentication/authenticator.ts'
import { AUTHENTICATED } from '../../authentication/identity-guard.ts'
import { impersonatedGroups } from '../../authentication/user-names.ts'
import { loadDocument } from '../../config/document.ts'
import { ConfigError, type ConfigProblem } from '../../config/problem.ts'
import { resolveRequestInfo } from '../../request/request-info.ts'
import { parseTarget } from '../../request/target.ts'
import type { Attributes, Authorizer, Decision } from '../authorizer.ts'
import { impersonationAttributes } from '../impersonation-attributes.ts'
import { compileRules } from './compile.ts'
import type { RulesDocument } from './findings/finding.ts'
import { findInRules } from './findings/rules.ts'
import { findDroppedGroups, findSubjects, type SubjectNames } from './findings/subjects.ts'
import { rulesSchema, type RuleTest } from './schema.ts'

export interface LoadedRules {
  readonly authorize: Authorizer
  /** Rules that load but may not do what was intended. */
  readonly warnings: readonly ConfigProblem[]
  /** Warns of subjects that nobody can be, and of groups that allow rules never see. */
  readonly warnOfSubjects: (names: SubjectNames) => readonly ConfigProblem[]
  /** How many tests the file has. */
  readonly tests: number
}

/**
 * @param current the version in effect, to warn of a file that has lost all tests
 * @throws ConfigError with every problem found; failed tests of the file are problems, too
 */
export function loadRules(file: string, current?: Pick<LoadedRules, 'tests'>): LoadedRules {
  const document = loadDocument(file, rulesSchema)
  const found = findInRules(document)
  if (found.problems.length > 0) throw new ConfigError(found.problems)
  const authorize = compileRules(document.value)
  const failed = document.value.tests.flatMap((test, i) => runTest(test, i, authorize, document))
  if (failed.length > 0) throw new ConfigError(failed)
  const tests = document.value.tests.length
  const warnings = [...warnOfLostTests(document, current), ...found.warnings(authorize)]
  const warnOfSubjects = (names: SubjectNames): readonly ConfigProblem[] =>
    [findSubjects, findDroppedGroups]
      .flatMap((find) => find(document.value, names))
      .map(({ path, message, fix }) => document.problem(path, message, fix))
  return { authorize, warnings, warnOfSubjects, tests }
}

function warnOfLostTests(
  document: RulesDocument,
  current: Pick<LoadedRules, 'tests'> | undefined,
): ConfigProblem[] {
  if (current === undefined || current.tests === 0 || document.value.tests.length > 0) return []
  const message = `has no tests, but the version before it had ${current.tests}: it may be cut off`
  return [document.problem(['tests'], message, 'restore the tests, or the whole file')]
}

function runTest(
  test: RuleTest,
  position: number,
  authorize: Authorizer,
  document: RulesDocument,
): ConfigProblem[] {
  const fail = (field: string, message: string, fix: string) => [
    document.problem(['tests', position, field], message, fix),
  ]
  if (!test.user.groupsAreKnown && test.user.groups.length > 0) {
    return fail('user', 'states groups although groupsAreKnown is false', 'remove one of the two')
  }
  let decision: Decision
  try {
    decision = decide(authorize, attributesOf(test))
  } catch (error) {
    return fail('request', (error as Error).message, 'use METHOD /path, such as GET /api/v1/pods')
  }
  const outcome = decision.decision === 'allow' ? 'allow' : 'deny'
  const by = decision.rule === '' ? 'the default' : `rule ${JSON.stringify(decision.rule)}`
  if (outcome !== test.expect) {
    const message = `the decision is ${outcome}, made by ${by}${inShadow(decision, test.expect)}`
    return fail('expect', message, 'correct the rules or the test')
  }
  if (test.rule !== undefined && test.rule !== decision.rule) {
    return fail('rule', `the decision was made by ${by}`, 'correct the rules or the test')
  }
  return []
}

/** Names the shadow rule that would make the expected decision if it were enforced. */
function inShadow({ shadow }: Decision, expected: RuleTest['expect']): string {
  const rule = shadow.find(({ effect }) => effect === expected)?.rule
  return rule === undefined
    ? ''
    : `; rule ${JSON.stringify(rule)} would ${expected} it but is in mode: shadow`
}

/** The first decision that does not allow, otherwise the last one. */
function decide(authorize: Authorizer, [first, ...others]: Asked): Decision {
  let decision = authorize(first) as Decision
  for (const attributes of others) {
    if (decision.decision !== 'allow') break
    decision = authorize(attributes) as Decision
  }
  return decision
}

type Asked = readonly [Attributes, ...Attributes[]]

/** Everything that the rules are asked about the request; more than once if one user acts as another. */
function attributesOf({ user, as, request }: RuleTest): Asked {
  const space = request.indexOf(' ')
  const method = request.slice(0, space)
  const info = resolveRequestInfo(method, parseTarget(method, request.slice(space + 1)))
  const caller = userOf(user)
  const signedIn: UserInfo = {
    ...caller,
    groups: [...new Set([...user.groups, AUTHENTICATED])],
    ...(user.groupsAreKnown ? {} : { unassertedGroups: 'unknown' }),
  }
  if (as === undefined) return [{ user: signedIn, info }]
  const requested = userOf(as)
  const acting = { ...requested, groups: impersonatedGroups(requested) }
  const itself = { user: acting, info, impersonator: signedIn }
  const [first, ...others] = impersonationAttributes(signedIn, requested)
  return first === undefined ? [itself] : [first, ...others, itself]
}

function userOf({ username, groups }: Pick<RuleTest['user'], 'username' | 'groups'>): UserInfo {
  return { username, uid: '', groups: [...new Set(groups)], extra: {} }
}
