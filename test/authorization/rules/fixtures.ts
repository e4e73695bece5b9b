import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { stringify } from 'yaml'

import type { UserInfo } from '../../../src/authentication/authenticator.ts'
import type { Decision } from '../../../src/authorization/authorizer.ts'
import { compileRules } from '../../../src/authorization/rules/compile.ts'
import { loadRules, type LoadedRules } from '../../../src/authorization/rules/load.ts'
import { rulesSchema } from '../../../src/authorization/rules/schema.ts'
import { ConfigError, formatProblem } from '../../../src/config/problem.ts'
import { infoOf, user } from '../fixtures.ts'

/** Decides on a request of a user. */
export function askingAs(user: UserInfo, rules: readonly unknown[], byDefault = 'deny') {
  const authorize = compileRules(parse(rules, byDefault))
  return (request: string) => authorize({ user, info: infoOf(request) }) as Decision
}

function parse(rules: readonly unknown[], byDefault: string) {
  return rulesSchema.parse({
    apiVersion: 'gatehouse/v1',
    kind: 'AccessRules',
    default: byDefault,
    rules,
  })
}

/** Decides on a request such as `GET /api/v1/pods`; the user is `ada` by default. */
export type Ask = (request: string, groups?: readonly string[], username?: string) => Decision

export function asking(rules: readonly unknown[], byDefault = 'deny'): Ask {
  const authorize = compileRules(parse(rules, byDefault))
  return (request, groups = [], username = 'ada') =>
    authorize({ user: user(username, groups), info: infoOf(request) }) as Decision
}

export const EVERYTHING = [{ apiGroups: ['*'], resources: ['*'] }]
export const allowAll = { name: 'all', effect: 'allow', verbs: ['*'], resources: EVERYTHING }
/** Resources of the core group. */
export const core = (...resources: string[]) => [{ apiGroups: [''], resources }]

/** The decision on each request when one allow rule with these fields is all there is. */
export function decisionsOn(
  requests: readonly string[],
  rule: object,
): (readonly [request: string, decision: Decision['decision']])[] {
  const ask = asking([{ name: 'r', effect: 'allow', ...rule }])
  return requests.map((request) => [request, ask(request).decision])
}

/** A rule without problems. */
export const good = { name: 'r', effect: 'allow', verbs: ['get'], resources: core('pods') }

/**
 * Loads a rules file with these rules; `rest` has further fields of the document, and `current` is what
 * is in effect.
 */
export function load(
  rules: readonly object[],
  rest: object = {},
  current?: LoadedRules,
): LoadedRules {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-rules-'))
  try {
    const file = join(folder, 'rules.yaml')
    const document = { apiVersion: 'gatehouse/v1', kind: 'AccessRules', rules, ...rest }
    writeFileSync(file, stringify(document))
    return loadRules(file, current)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** What every client needs, as in config/rules.yaml. */
export const BASICS = [
  {
    name: 'discovery',
    effect: 'allow',
    verbs: ['get'],
    nonResourceURLs: ['/api', '/api/*', '/apis', '/apis/*', '/healthz', '/livez', '/readyz'].concat(
      ['/openapi', '/openapi/*', '/version', '/version/'],
    ),
  },
  {
    name: 'self-reviews',
    effect: 'allow',
    verbs: ['create'],
    resources: [
      {
        apiGroups: ['authorization.k8s.io'],
        resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
      },
      { apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'] },
    ],
  },
]

/** The warnings about rules in a file that has {@link BASICS}, too. */
export function warningsOf(...rules: object[]): LoadedRules['warnings'] {
  return load([...rules, ...BASICS]).warnings
}

/** The problems of a rules file, as they are logged, behind the place of each. */
export function problemsOf(rules: readonly object[], rest?: object): string[] {
  try {
    load(rules, rest)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map((problem) => formatProblem(problem).replace(/^[^ ]+ /, ''))
  }
  return []
}
