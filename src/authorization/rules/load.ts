/** A rules file: read, checked for what cannot work, compiled, and its own tests run. */
import { loadDocument, type LoadedDocument } from '../../config/document.ts'
import type { Path } from '../../config/path.ts'
import { ConfigError, type ConfigProblem } from '../../config/problem.ts'
import { resolveRequestInfo } from '../../request/request-info.ts'
import { parseTarget } from '../../request/target.ts'
import type { Attributes, Authorizer, Decision } from '../authorizer.ts'
import { compileRules } from './compile.ts'
import { rulesSchema, type AccessRule, type AccessRules, type RuleTest } from './schema.ts'
import { warnOfRules } from './warnings.ts'

export interface LoadedRules {
  readonly authorize: Authorizer
  /** What works, but perhaps not as meant. */
  readonly warnings: readonly ConfigProblem[]
}

const VERBS = new Set(
  `* get list watch create update patch delete deletecollection connect head post put options
   impersonate bind escalate approve sign use attest proxy`.split(/\s+/),
)

const CONNECT_SUBRESOURCES = new Set(['exec', 'attach', 'portforward', 'proxy'])

/**
 * Loads the rules.
 *
 * @throws ConfigError with every problem, a failed test of the file included
 */
export function loadRules(file: string): LoadedRules {
  const document = loadDocument(file, rulesSchema)
  const problems = checkRules(document)
  if (problems.length > 0) throw new ConfigError(problems)
  const authorize = compileRules(document.value)
  const failed = document.value.tests.flatMap((test, i) => runTest(test, i, authorize, document))
  if (failed.length > 0) throw new ConfigError(failed)
  return { authorize, warnings: warnOfRules(document) }
}

type RulesDocument = LoadedDocument<AccessRules>

function checkRules(document: RulesDocument): ConfigProblem[] {
  const names = new Set<string>()
  return document.value.rules.flatMap((rule, i) => {
    const problems: ConfigProblem[] = []
    const add = (path: Path, message: string, fix: string): void => {
      problems.push(document.problem(['rules', i, ...path], message, fix))
    }
    if (names.has(rule.name)) {
      add(['name'], `the name ${JSON.stringify(rule.name)} stands twice`, 'give each its own name')
    }
    names.add(rule.name)
    if (rule.when !== undefined) {
      add(['when'], 'conditions are not supported by this version', 'remove the field')
    }
    checkSubjects(rule, add)
    checkVerbs(rule, add)
    checkScope(rule, add)
    checkPatterns(rule, add)
    return problems
  })
}

type Add = (path: Path, message: string, fix: string) => void

function checkSubjects({ subjects }: AccessRule, add: Add): void {
  if (subjects !== undefined && subjects.users === undefined && subjects.groups === undefined) {
    add(['subjects'], 'names nobody', 'set users or groups, or leave subjects out for everybody')
  }
}

function checkVerbs(rule: AccessRule, add: Add): void {
  rule.verbs.forEach((verb, i) => {
    if (!VERBS.has(verb)) {
      const known =
        'get, list, watch, create, update, patch, delete, deletecollection, connect, "*"'
      add(['verbs', i], `unknown verb ${JSON.stringify(verb)}`, `one of ${known}`)
    }
  })
  // What an RBAC reader would write for exec: as an allow it would never match, as a deny it would
  // leave the other protocol open. Neither is let by.
  if (rule.verbs.includes('connect') || rule.verbs.includes('*')) return
  const wrong =
    rule.effect === 'allow'
      ? 'is allowed by the verb connect only'
      : 'is denied whole by the verb connect only: an exec is a GET over WebSocket, a POST over SPDY'
  rule.resources?.forEach(({ resources }, i) => {
    resources.forEach((resource, j) => {
      if (!CONNECT_SUBRESOURCES.has(resource.split('/')[1] ?? '')) return
      add(
        ['resources', i, 'resources', j],
        `${JSON.stringify(resource)} ${wrong}`,
        'add connect to the verbs',
      )
    })
  })
}

function checkScope(rule: AccessRule, add: Add): void {
  if (rule.resources === undefined && rule.nonResourceURLs === undefined) {
    add([], 'speaks of nothing', 'set resources, nonResourceURLs or both')
  }
  rule.nonResourceURLs?.forEach((url, i) => {
    if (url !== '*' && !url.startsWith('/')) {
      add(['nonResourceURLs', i], 'is no path', 'begin with "/", or write "*"')
    }
  })
}

/** A `*` elsewhere than at the end would be taken for a letter: nobody means that. */
function checkPatterns(rule: AccessRule, add: Add): void {
  const check = (path: Path, patterns: readonly string[] = []): void => {
    patterns.forEach((pattern, i) => {
      if (pattern.slice(0, -1).includes('*')) {
        add([...path, i], `"*" stands inside ${JSON.stringify(pattern)}`, 'only at the end')
      }
    })
  }
  check(['subjects', 'users'], rule.subjects?.users)
  check(['subjects', 'groups'], rule.subjects?.groups)
  check(['nonResourceURLs'], rule.nonResourceURLs)
  rule.resources?.forEach((resource, i) => {
    check(['resources', i, 'resourceNames'], resource.resourceNames)
    check(['resources', i, 'namespaces'], resource.namespaces)
    resource.apiGroups.forEach((group, j) => {
      const problem = groupProblem(group)
      if (problem !== undefined) add(['resources', i, 'apiGroups', j], ...problem)
    })
    resource.resources.forEach((name, j) => {
      const problem = resourceProblem(name)
      if (problem !== undefined) add(['resources', i, 'resources', j], ...problem)
    })
  })
}

type Problem = readonly [message: string, fix: string]

/** A group that no request can have would make a deny that denies nothing. */
function groupProblem(group: string): Problem | undefined {
  const text = JSON.stringify(group)
  if (group === '' || group === '*') return undefined
  if (group === 'core') return [`${text} is no API group`, 'the core group is ""']
  if (/^v\d+(?:(?:alpha|beta)\d+)?$/.test(group)) {
    return [`${text} is a version`, 'the group alone; the core group is ""']
  }
  if (group.includes('/')) return [`${text} holds a version`, group.split('/')[0] ?? '']
  if (/^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/.test(group)) return undefined
  return [`${text} is no API group`, '"" for core, a group such as apps, or "*"']
}

function resourceProblem(name: string): Problem | undefined {
  const text = JSON.stringify(name)
  if (name !== name.toLowerCase()) {
    return [`${text} is no resource`, `resources are lower-case plurals: ${name.toLowerCase()}`]
  }
  if (/^(?:\*|[^*/\s]+)(?:\/(?:\*|[^*/\s]+))?$/.test(name)) return undefined
  return [`${text} is no resource`, 'pods, pods/log, "pods/*", "*/scale" or "*"']
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
  let decision: Decision
  try {
    decision = authorize(attributesOf(test)) as Decision
  } catch (error) {
    return fail('request', (error as Error).message, 'METHOD /path, such as GET /api/v1/pods')
  }
  const outcome = decision.decision === 'allow' ? 'allow' : 'deny'
  if (outcome !== test.expect) {
    const by = decision.rule === '' ? 'the default' : `rule ${JSON.stringify(decision.rule)}`
    const message = `the outcome is ${outcome}, by ${by}${inShadow(decision, test.expect)}`
    return fail('expect', message, 'correct the rules or the test')
  }
  if (test.rule !== undefined && test.rule !== decision.rule) {
    const decided = JSON.stringify(decision.rule)
    return fail('rule', `the rule that decided is ${decided}`, 'correct the rules or the test')
  }
  return []
}

/** The rule that would bring the outcome about that was expected, were it enforced. */
function inShadow({ shadow }: Decision, expected: RuleTest['expect']): string {
  const rule = shadow.find(({ effect }) => effect === expected)?.rule
  return rule === undefined
    ? ''
    : `; rule ${JSON.stringify(rule)} would ${expected}, but is in mode: shadow`
}

function attributesOf({ user, request }: RuleTest): Attributes {
  const space = request.indexOf(' ')
  const method = request.slice(0, space)
  const target = parseTarget(method, request.slice(space + 1))
  return {
    user: {
      username: user.username,
      uid: '',
      groups: [...new Set([...user.groups, 'system:authenticated'])],
      extra: {},
    },
    info: resolveRequestInfo(method, target),
  }
}
