/** The user that an impersonating request becomes, and which users nobody can become. */
import type { UserInfo } from '../authentication/authenticator.ts'
import {
  DEFAULT_IDENTITY_LIMITS,
  guardIdentity,
  type GuardOptions,
} from '../authentication/identity-guard.ts'
import {
  ANONYMOUS,
  impersonatedGroups,
  SERVICE_ACCOUNTS,
  serviceAccountOf,
  UNAUTHENTICATED,
} from '../authentication/user-names.ts'
import { StatusError } from '../status.ts'

/**
 * The extra that carries the name of the user who impersonates, for the API server's own audit log and
 * admission. No credential and no request can set it.
 */
export const ORIGINAL_USER = 'gatehouse/original-user'

/** Each costs reviews by the API server. */
const MAX_PARTS = 64

/**
 * @throws StatusError 403 for what cannot be impersonated through Gatehouse, whatever the caller may do:
 * names that the identity guard rejects, except for service accounts and the anonymous user; more than 64
 * groups and values of extras
 */
export function guardTarget(
  requested: UserInfo,
  { systemIdentities }: Pick<GuardOptions, 'systemIdentities'>,
): void {
  const parts = requested.groups.length + Object.values(requested.extra).flat().length
  if (parts > MAX_PARTS) {
    throw refused(`${parts} groups and extra values exceed the limit of ${MAX_PARTS}`)
  }
  const allowed = {
    users: [
      ...systemIdentities.users,
      ANONYMOUS,
      ...(serviceAccountOf(requested.username) === undefined ? [] : [requested.username]),
    ],
    groups: [
      ...systemIdentities.groups,
      UNAUTHENTICATED,
      ...requested.groups.filter(
        (group) => group === SERVICE_ACCOUNTS || group.startsWith(`${SERVICE_ACCOUNTS}:`),
      ),
    ],
  }
  guardIdentity(requested, {
    ...DEFAULT_IDENTITY_LIMITS,
    ...{ systemIdentities: allowed, unusableGroups: 'refuse' },
  })
}

/**
 * The user with the groups that kube-apiserver adds, and the caller's name in an extra.
 *
 * @param derivedGroups those of a node
 */
export function targetUser(
  requested: UserInfo,
  derivedGroups: readonly string[] | undefined,
  caller: UserInfo,
): UserInfo {
  return {
    ...requested,
    groups: impersonatedGroups(requested, derivedGroups),
    extra: { ...requested.extra, [ORIGINAL_USER]: [caller.username] },
  }
}

function refused(message: string): StatusError {
  return new StatusError('Forbidden', `impersonation rejected: ${message}`)
}
