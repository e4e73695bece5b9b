/** Loads a rules file: reads it, checks it for mistakes, compiles it and runs the tests in it. */
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
  /** Rules that load but may not do what was intended. */
  readonly warnings: readonly ConfigProblem[]
}

const VERBS = new Set(
  `* get list watch create update patch delete deletecollection connect head post put options
   impersonate bind escalate approve sign use attest proxy`.split(/\s+/),
)

const CONNECT_SUBRESOURCES = new Set(['exec', 'attach', 'portforward', 'proxy'])

/** @throws ConfigError with every problem found; failed tests of the file are problems, too */
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
      add(
        ['name'],
        `the name ${JSON.stringify(rule.name)} is used more than once`,
        'give each rule a unique name',
      )
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
    add(
      ['subjects'],
      'matches no user',
      'set users or groups, or omit subjects to match every user',
    )
  }
}

function checkVerbs(rule: AccessRule, add: Add): void {
  rule.verbs.forEach((verb, i) => {
    if (!VERBS.has(verb)) {
      const known =
        'get, list, watch, create, update, patch, delete, deletecollection, connect, "*"'
      add(['verbs', i], `unknown verb ${JSON.stringify(verb)}`, `must be one of: ${known}`)
    }
  })
  // RBAC grants exec by get or create. Here, an allow rule with these verbs would never match an exec,
  // and a deny rule would leave one of the two protocols open.
  if (rule.verbs.includes('connect') || rule.verbs.includes('*')) return
  const wrong =
    rule.effect === 'allow'
      ? 'can be allowed only by the verb connect'
      : 'is fully denied only by the verb connect: exec is a GET over WebSocket and a POST over SPDY'
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
    add([], 'matches no request', 'set resources, nonResourceURLs or both')
  }
  rule.nonResourceURLs?.forEach((url, i) => {
    if (url !== '*' && !url.startsWith('/')) {
      add(['nonResourceURLs', i], 'is not a path', 'start with "/", or use "*"')
    }
  })
}

/** A `*` before the end would be matched literally, which is never intended. */
function checkPatterns(rule: AccessRule, add: Add): void {
  const check = (path: Path, patterns: readonly string[] = []): void => {
    patterns.forEach((pattern, i) => {
      if (pattern.slice(0, -1).includes('*')) {
        const message = `${JSON.stringify(pattern)} has a "*" before its end`
        add([...path, i], message, 'use "*" only at the end')
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

/** A deny rule for a group that no request can have would deny nothing. */
function groupProblem(group: string): Problem | undefined {
  const text = JSON.stringify(group)
  if (group === '' || group === '*') return undefined
  if (group === 'core') return [`${text} is not an API group`, 'use "" for the core group']
  if (/^v\d+(?:(?:alpha|beta)\d+)?$/.test(group)) {
    return [`${text} is a version, not an API group`, 'use the group alone; the core group is ""']
  }
  if (group.includes('/')) {
    return [`${text} contains a version`, `use ${JSON.stringify(group.split('/')[0])}`]
  }
  if (/^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/.test(group)) return undefined
  return [`${text} is not an API group`, 'use "" for core, a group such as apps, or "*"']
}

function resourceProblem(name: string): Problem | undefined {
  const text = JSON.stringify(name)
  if (name !== name.toLowerCase()) {
    return [`${text} is not a resource`, `resources are lower-case plurals: ${name.toLowerCase()}`]
  }
  if (/^(?:\*|[^*/\s]+)(?:\/(?:\*|[^*/\s]+))?$/.test(name)) return undefined
  return [`${text} is not a resource`, 'use pods, pods/log, "pods/*", "*/scale" or "*"']
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
