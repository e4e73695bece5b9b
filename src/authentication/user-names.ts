/** Names that have a meaning in Kubernetes: service accounts, nodes, and groups that users are in anyway. */
import type { UserInfo } from './authenticator.ts'
import { AUTHENTICATED } from './identity-guard.ts'

export const ANONYMOUS = 'system:anonymous'
export const UNAUTHENTICATED = 'system:unauthenticated'
export const SERVICE_ACCOUNTS = 'system:serviceaccounts'

export interface ServiceAccount {
  readonly namespace: string
  readonly name: string
}

const SERVICE_ACCOUNT_PREFIX = 'system:serviceaccount:'
const NODE_PREFIX = 'system:node:'

/** `ValidateNamespaceName`. */
const LABEL = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/
/** `NameIsDNSSubdomain`, for service accounts and nodes; at most 253 characters. */
const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/

/** `SplitUsername` (apiserver/pkg/authentication/serviceaccount); undefined for any other name. */
export function serviceAccountOf(username: string): ServiceAccount | undefined {
  if (!username.startsWith(SERVICE_ACCOUNT_PREFIX)) return undefined
  const [namespace = '', name = '', ...rest] = username
    .slice(SERVICE_ACCOUNT_PREFIX.length)
    .split(':')
  if (rest.length > 0 || !LABEL.test(namespace) || !isSubdomain(name)) return undefined
  return { namespace, name }
}

/** `isNodeUsername` (filters/impersonation/mode.go): the node's name; undefined for any other name. */
export function nodeOf(username: string): string | undefined {
  if (!username.startsWith(NODE_PREFIX)) return undefined
  const name = username.slice(NODE_PREFIX.length)
  return isSubdomain(name) ? name : undefined
}

/** `MakeGroupNames`: the groups of every service account of the namespace. */
export function serviceAccountGroups(namespace: string): readonly string[] {
  return [SERVICE_ACCOUNTS, `${SERVICE_ACCOUNTS}:${namespace}`]
}

/**
 * The groups of a user whom a request impersonates (filters/impersonation `impersonationModeState.check`):
 * those that it names, otherwise those of a service account, and the one of all users or of none.
 *
 * @param derived instead of those of a service account, such as the group of nodes
 */
export function impersonatedGroups(
  { username, groups }: Pick<UserInfo, 'username' | 'groups'>,
  derived: readonly string[] = groupsOfServiceAccount(username),
): readonly string[] {
  const own = groups.length === 0 ? derived : groups
  if (own.includes(UNAUTHENTICATED)) return own
  if (username === ANONYMOUS) return [...own, UNAUTHENTICATED]
  return own.includes(AUTHENTICATED) ? own : [...own, AUTHENTICATED]
}

function groupsOfServiceAccount(username: string): readonly string[] {
  const account = serviceAccountOf(username)
  return account === undefined ? [] : serviceAccountGroups(account.namespace)
}

function isSubdomain(name: string): boolean {
  return name.length <= 253 && SUBDOMAIN.test(name)
}
