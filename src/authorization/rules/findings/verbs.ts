/** Finds verbs that no request of a rule can have. */
import { nearest } from '../../../config/issues.ts'
import { DENIES_CONNECT, PATH_VERBS } from '../conditions/verbs.ts'
import type { AccessRule } from '../schema.ts'
import { at, certain, type Finding, type ValueFinding } from './finding.ts'

const RESOURCE_VERBS: readonly string[] =
  'get list watch create update patch delete deletecollection connect impersonate'.split(' ')

/** Verbs that kube-apiserver checks while it serves a request with another verb, and what to name. */
const CHECKED_INSIDE: Readonly<Record<string, string>> = {
  approve: 'use update and patch on certificatesigningrequests/approval',
  attest: 'use create and update on clustertrustbundles',
  bind: 'use create, update and patch on rolebindings and clusterrolebindings',
  escalate: 'use create, update and patch on roles and clusterroles',
  sign: 'use update and patch on certificatesigningrequests/status',
  use: 'use create on pods and on the workloads that make them',
}

/** The verb of a resource request by its HTTP method. */
const RESOURCE_VERB_OF: Readonly<Record<string, string>> = {
  head: 'get',
  options: '"*"',
  post: 'create',
  put: 'update',
}

/** The HTTP method of a verb that only resource requests have. */
const PATH_VERB_OF: Readonly<Record<string, string>> = {
  connect: '"*"',
  create: 'post',
  deletecollection: 'delete',
  list: 'get',
  update: 'put',
  watch: 'get',
}

const CONNECT_SUBRESOURCES = new Set(['exec', 'attach', 'portforward', 'proxy'])

/** The subresources of Kubernetes that are connections, by their resource. */
const CONNECTIONS_OF: Readonly<Record<string, string>> = {
  nodes: 'nodes/proxy',
  pods: 'pods/exec, pods/attach, pods/portforward and pods/proxy',
  services: 'services/proxy',
}

/** The findings about the verbs of one rule. */
export function findVerbs(rule: AccessRule): Finding[] {
  const { verbs, resources, nonResourceURLs } = rule
  if (verbs === undefined) return findMissingVerbs(rule)
  const found = verbs.flatMap((verb, i) => at(['verbs', i], findUnknownVerb(verb)))
  if (found.length > 0 || verbs.includes('*')) return found
  if (resources === undefined || nonResourceURLs === undefined) {
    const findVerb = resources === undefined ? findVerbOfPath : findVerbOfResource
    found.push(...verbs.flatMap((verb, i) => at(['verbs', i], findVerb(verb))))
  } else {
    found.push(...findUselessHalf(rule, verbs))
  }
  return [...found, ...findConnect(rule, verbs), ...findNoConnect(rule, verbs)]
}

/** A deny of paths alone may leave out the verbs, and then holds for every method. */
function findMissingVerbs({ effect, resources }: AccessRule): Finding[] {
  if (effect === 'deny' && resources === undefined) return []
  const fix =
    'RBAC verbs, connect (exec, attach, portforward, proxy) or "*"; only a deny rule for paths may omit them'
  return at(['verbs'], certain('is required', fix))
}

function findUnknownVerb(verb: string): ValueFinding | undefined {
  if (verb === '*' || PATH_VERBS.has(verb) || RESOURCE_VERBS.includes(verb)) return undefined
  const instead = CHECKED_INSIDE[verb]
  if (instead !== undefined) {
    return certain(
      `no request has the verb ${JSON.stringify(verb)}: kube-apiserver checks it while it serves another verb`,
      instead,
    )
  }
  if (verb === 'proxy') {
    return certain('"proxy" is the verb of no request that kube-apiserver serves', 'use connect')
  }
  const word = verb.trim().toLowerCase()
  const near = PATH_VERBS.has(word) ? word : nearest(word, RESOURCE_VERBS)
  const known =
    'get, list, watch, create, update, patch, delete, deletecollection, connect, impersonate, "*"'
  return certain(
    `unknown verb ${JSON.stringify(verb)}`,
    near === undefined ? `must be one of: ${known}` : `did you mean ${near}?`,
  )
}

function findVerbOfResource(verb: string): ValueFinding | undefined {
  if (RESOURCE_VERBS.includes(verb)) return undefined
  return certain(
    `${JSON.stringify(verb)} is an HTTP method, which no request for a resource has as its verb`,
    `did you mean ${RESOURCE_VERB_OF[verb] ?? 'get'}?`,
  )
}

function findVerbOfPath(verb: string): ValueFinding | undefined {
  if (PATH_VERBS.has(verb)) return undefined
  return certain(
    `${JSON.stringify(verb)} is a verb that no request for a path has: its verb is the HTTP method`,
    `did you mean ${PATH_VERB_OF[verb] ?? 'get'}?`,
  )
}

/** Of a rule for resources and paths, the half that none of the verbs fits. */
function findUselessHalf({ effect }: AccessRule, verbs: readonly string[]): Finding[] {
  if (!verbs.some((verb) => RESOURCE_VERBS.includes(verb))) {
    return at(
      ['resources'],
      certain('matches no request: all verbs of the rule are HTTP methods', 'use RBAC verbs'),
    )
  }
  // A deny rule that names no HTTP method denies paths by every method.
  if (effect === 'deny' || verbs.some((verb) => PATH_VERBS.has(verb))) return []
  return at(
    ['nonResourceURLs'],
    certain(
      'matches no request: none of the verbs of the rule is an HTTP method',
      'give the paths a rule of their own, with HTTP methods as verbs, such as get',
    ),
  )
}

/**
 * RBAC grants exec by get or create. An allow rule with these verbs would never match an exec here,
 * and no exec has other verbs than these.
 */
function findConnect({ effect, resources = [] }: AccessRule, verbs: readonly string[]): Finding[] {
  const isCovered = verbs.some((verb) =>
    effect === 'deny' ? DENIES_CONNECT.has(verb) : verb === 'connect',
  )
  if (isCovered) return []
  const wrong =
    effect === 'allow'
      ? 'can be allowed only by the verb connect'
      : 'is denied only by the verb connect, get or create'
  return resources.flatMap((entry, i) =>
    entry.resources.flatMap((name, j) =>
      CONNECT_SUBRESOURCES.has(name.split('/')[1] ?? '')
        ? at(
            ['resources', i, 'resources', j],
            certain(`${JSON.stringify(name)} ${wrong}`, 'add connect to the verbs'),
          )
        : [],
    ),
  )
}

/** A rule for connections alone that names a resource, which only has them by its subresources. */
function findNoConnect({ resources = [] }: AccessRule, verbs: readonly string[]): Finding[] {
  if (!verbs.every((verb) => verb === 'connect')) return []
  return resources.flatMap((entry, i) =>
    entry.resources.flatMap((name, j) =>
      name === '*' || name.includes('/')
        ? []
        : at(
            ['resources', i, 'resources', j],
            certain(
              `no request for ${JSON.stringify(name)} has the verb connect, only requests for its subresources`,
              `use ${CONNECTIONS_OF[name] ?? `"${name}/*"`}`,
            ),
          ),
    ),
  )
}
