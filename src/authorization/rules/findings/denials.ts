/** Asks which requests the deny rules of a file deny, to find what a rule leaves open. */
import { isConnect } from '../../../request/long-running.ts'
import { resourceInfo } from '../../../request/resource-info.ts'
import type { RequestInfo } from '../../../request/types.ts'
import type { UserInfo } from '../../../authentication/authenticator.ts'
import type { Attributes } from '../../authorizer.ts'
import { compileRule } from '../compile-rule.ts'
import { KUBERNETES_RESOURCES } from '../kubernetes-resources.ts'
import { createRuleIndex } from '../rule-index.ts'
import type { AccessRule, ResourceRule } from '../schema.ts'

/** What a request does; `connect` is an exec, attach, portforward or proxy. */
export interface Action {
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly subresource: string
}

/** What one entry of a deny rule denies, and what all deny rules leave open to the users of the rule. */
export interface EntryDenials {
  /** Whether the entry denies the action in its objects. */
  denies(action: Action): boolean
  /**
   * Whether some user of the rule can carry out the action on some object of the entry, as far as the
   * deny rules of the file decide. For a rule in shadow mode, other rules in shadow mode count, too.
   */
  leavesOpen(action: Action): boolean
}

export type Denials = (rule: AccessRule, entry: ResourceRule) => EntryDenials

/** Without namespaces, whose requests have their own name as the namespace. */
const CLUSTER_SCOPED: ReadonlySet<string> = new Set(
  KUBERNETES_RESOURCES.filter(
    ({ isNamespaced, name }) => !isNamespaced && name !== 'namespaces',
  ).map(({ name, group }) => `${name}@${group}`),
)

/** Stands for any name; no rule is likely to name it. */
const ANY = 'gatehouse-any-name'

/** Compiles the deny rules of a file. */
export function compileDenials(rules: readonly AccessRule[]): Denials {
  const denying = rules.filter(({ effect }) => effect === 'deny')
  const index = createRuleIndex(denying)
  const compiled = denying.map((rule) => ({ rule, matches: compileRule(rule) }))
  const isDenied = (attributes: Attributes, mode: AccessRule['mode']): boolean =>
    index.candidates(attributes).some((position) => {
      const one = compiled[position]
      if (one === undefined) return false
      return (mode === 'shadow' || one.rule.mode === 'enforce') && one.matches(attributes)
    })
  return (rule, entry) => {
    const matches = compileRule({ ...rule, resources: [entry] })
    return {
      denies: (action) => samples(rule, entry, action).some(matches),
      leavesOpen: (action) =>
        samples(rule, entry, action).some((attributes) => !isDenied(attributes, rule.mode)),
    }
  }
}

/** Requests for the action, one for each pattern of a rule. */
function samples(rule: AccessRule, entry: ResourceRule, action: Action): Attributes[] {
  const users = sampleUsers(rule)
  const isNamespaced = !CLUSTER_SCOPED.has(`${action.resource}@${action.group}`)
  const namespaces = isNamespaced ? (entry.namespaces ?? ['*']).map(sampleOf) : ['']
  const names = (entry.resourceNames ?? ['*']).map(sampleOf)
  return users.flatMap((user) =>
    namespaces.flatMap((namespace) =>
      names.map((name) => ({ user, info: infoOf(action, namespace, name) })),
    ),
  )
}

/** A user for each pattern of the rule's subjects, who matches no other of them. */
export function sampleUsers({ subjects }: Pick<AccessRule, 'subjects'>): UserInfo[] {
  if (subjects === undefined) return [sampleUser(ANY)]
  const { users = [], groups = [] } = subjects
  return [
    ...users.map((pattern) => sampleUser(sampleOf(pattern))),
    ...groups.map((pattern) => sampleUser(ANY, sampleOf(pattern))),
  ]
}

function sampleUser(username: string, ...groups: string[]): UserInfo {
  return { username, uid: '', groups: [...groups, 'system:authenticated'], extra: {} }
}

function sampleOf(pattern: string): string {
  return pattern.endsWith('*') ? pattern.slice(0, -1) + ANY : pattern
}

function infoOf(
  { verb, group, resource, subresource }: Action,
  namespace: string,
  name: string,
): RequestInfo {
  const info = resourceInfo({
    verb,
    apiGroup: group,
    namespace,
    resource,
    subresource,
    // Requests that create something have its name in the body.
    name: subresource === '' && (verb === 'create' || verb === 'deletecollection') ? '' : name,
  })
  // An exec over SPDY.
  return isConnect(info) ? { ...info, verb: 'create' } : info
}
