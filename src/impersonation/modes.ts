/**
 * What the caller must be allowed in each mode of impersonation
 * (apiserver/pkg/endpoints/filters/impersonation/mode.go, KEP-5284).
 */
import type { UserInfo } from '../authentication/authenticator.ts'
import { nodeOf, serviceAccountOf } from '../authentication/user-names.ts'
import type { Attributes } from '../authorization/authorizer.ts'
import {
  impersonationParts,
  LEGACY,
  type ImpersonationParts,
  type ImpersonationVerb,
} from '../authorization/impersonation-attributes.ts'
import type { RequestInfo } from '../request/types.ts'

/** One part of the requested user, or the request itself. Steps are taken in order. */
export interface Step {
  /** All of them must be allowed; the first one that is not is reported. */
  readonly checks: readonly Attributes[]
  /** If it is allowed, the checks need not be asked. */
  readonly shortcut: Attributes | undefined
  /** Why the mode refuses this part whatever the caller may do. */
  readonly refusal: { readonly attributes: Attributes; readonly reason: string } | undefined
}

export interface ModeSteps {
  /** The verb that audit events name; empty in legacy mode. */
  readonly constraint: string
  readonly steps: readonly Step[]
  /** Groups of a node; undefined for other users. */
  readonly derivedGroups: readonly string[] | undefined
}

export interface Impersonation {
  readonly caller: UserInfo
  /** As the request names it, without groups that are added. */
  readonly requested: UserInfo
  /** The request that is made as the requested user. */
  readonly info: RequestInfo
}

/** Returns undefined for a user that the mode does not support. */
export type Mode = (impersonation: Impersonation) => ModeSteps | undefined

/** The order in which kube-apiserver tries them. */
export const CONSTRAINED_MODES: readonly Mode[] = [
  associatedNode,
  arbitraryNode,
  serviceAccount,
  userInfo,
]

const AUTHENTICATION = 'authentication.k8s.io'
const SYSTEM_MASTERS = 'system:masters'
const NODES = 'system:nodes'
const NOBODY: UserInfo = { username: '', uid: '', groups: [], extra: {} }
/** `serviceaccount.NodeNameKey`. */
const NODE_NAME_KEY = 'authentication.kubernetes.io/node-name'
const NODE_KEYS_KEY = 'authentication.kubernetes.io/associated-node-keys'
/** `manyAuthorizationChecksInLoop`. */
const MANY = 4

/** The verb `impersonate` on each part of the user, whatever the request is. */
export function legacy({ caller, requested }: Impersonation): ModeSteps {
  return {
    constraint: '',
    steps: partSteps(caller, requested, LEGACY).map(checksOnly),
    derivedGroups: undefined,
  }
}

/** The same in the order of API servers that do not have constrained modes: the uid comes last. */
export function legacyAlone(impersonation: Impersonation): ModeSteps {
  const mode = legacy(impersonation)
  const [name, uid, ...others] = mode.steps
  return { ...mode, steps: [name, ...others, uid].filter((step) => step !== undefined) }
}

/** Constrained modes have a shortcut and refuse more. */
function checksOnly({ checks }: Step): Step {
  return { checks, shortcut: undefined, refusal: undefined }
}

function userInfo(impersonation: Impersonation): ModeSteps | undefined {
  const { username } = impersonation.requested
  if (nodeOf(username) !== undefined || serviceAccountOf(username) !== undefined) return undefined
  return constrained(impersonation, 'user-info')
}

function serviceAccount(impersonation: Impersonation): ModeSteps | undefined {
  const { requested } = impersonation
  if (!hasOnlyName(requested) || serviceAccountOf(requested.username) === undefined)
    return undefined
  return constrained(impersonation, 'serviceaccount')
}

function arbitraryNode(impersonation: Impersonation): ModeSteps | undefined {
  const { requested } = impersonation
  if (!hasOnlyName(requested) || nodeOf(requested.username) === undefined) return undefined
  return constrained(impersonation, 'arbitrary-node', [NODES])
}

/**
 * A service account that acts as the node of its own pod. The permission holds for every node, and the
 * extras of the pod do not count: only their names.
 */
function associatedNode(impersonation: Impersonation): ModeSteps | undefined {
  const { caller, requested } = impersonation
  const node = nodeOf(requested.username)
  const own = caller.extra[NODE_NAME_KEY] ?? []
  if (node === undefined || own.length !== 1 || own[0] !== node) return undefined
  if (!hasOnlyName(requested) || serviceAccountOf(caller.username) === undefined) return undefined
  const anyPod = {
    ...caller,
    extra: { [NODE_KEYS_KEY]: Object.keys(caller.extra).toSorted() },
  }
  const mode = constrained({ ...impersonation, caller: anyPod }, 'associated-node', [NODES])
  return { ...mode, steps: mode.steps.map(forEveryNode) }
}

function forEveryNode(step: Step): Step {
  const checks = step.checks.map((check) =>
    check.info.verb === 'impersonate:associated-node'
      ? { ...check, info: { ...check.info, name: '*' } }
      : check,
  )
  return { ...step, checks }
}

/** The request itself with the mode in its verb, and then each part of the user. */
function constrained(
  { caller, requested, info }: Impersonation,
  mode: string,
  derivedGroups?: readonly string[],
): ModeSteps {
  const verb = `impersonate:${mode}`
  const on = { user: caller, info: { ...info, verb: `impersonate-on:${mode}:${info.verb}` } }
  return {
    constraint: verb,
    steps: [
      { checks: [on], shortcut: undefined, refusal: undefined },
      ...partSteps(caller, requested, { verb, group: AUTHENTICATION }),
    ],
    derivedGroups,
  }
}

function partSteps(caller: UserInfo, requested: UserInfo, verb: ImpersonationVerb): Step[] {
  const { name, uid, groups, extras } = impersonationParts(caller, requested, verb)
  const all = (part: Partial<UserInfo>): ImpersonationParts =>
    impersonationParts(caller, { ...NOBODY, ...part }, verb)
  const badKey = refusedKey(requested.extra)
  return [
    { checks: [name], shortcut: undefined, refusal: undefined },
    { checks: uid === undefined ? [] : [uid], shortcut: undefined, refusal: undefined },
    {
      checks: groups,
      shortcut: groups.length >= MANY ? all({ groups: ['*'] }).groups[0] : undefined,
      refusal: requested.groups.includes(SYSTEM_MASTERS)
        ? refusal(
            all({ groups: [SYSTEM_MASTERS] }).groups[0],
            'impersonating the system:masters group is not allowed',
          )
        : undefined,
    },
    {
      checks: extras,
      shortcut: extras.length >= MANY ? all({ extra: { '*': ['*'] } }).extras[0] : undefined,
      refusal:
        badKey === undefined ? undefined : refusal(all({ extra: { '': [''] } }).extras[0], badKey),
    },
  ]
}

function refusal(attributes: Attributes | undefined, reason: string): Step['refusal'] {
  return attributes === undefined ? undefined : { attributes, reason }
}

/** `validateExtra`: why a constrained mode refuses the keys; undefined if it takes them. */
function refusedKey(extra: UserInfo['extra']): string | undefined {
  for (const key of Object.keys(extra)) {
    if (!isDomainPrefixedPath(key)) {
      return `impersonating an invalid key in extra is not allowed: extra.key: Invalid value: ${JSON.stringify(key)}: must be a domain-prefixed path (such as "acme.io/foo")`
    }
    if (key !== key.toLowerCase()) {
      return `impersonating a non-lowercase key in extra is not allowed: ${JSON.stringify(key)}`
    }
  }
  return undefined
}

/** apimachinery/pkg/util/validation `IsDomainPrefixedPath`: a DNS subdomain, a slash and a path. */
function isDomainPrefixedPath(key: string): boolean {
  const slash = key.indexOf('/')
  const domain = key.slice(0, Math.max(slash, 0))
  return (
    domain.length <= 253 &&
    /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/.test(domain) &&
    /^[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/.test(key.slice(slash + 1))
  )
}

function hasOnlyName({ uid, groups, extra }: UserInfo): boolean {
  return uid === '' && groups.length === 0 && Object.keys(extra).length === 0
}
