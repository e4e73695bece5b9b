/** What is asked about a user who acts as another one (apiserver/pkg/endpoints/filters/impersonation). */
import type { UserInfo } from '../authentication/authenticator.ts'
import { nodeOf, serviceAccountOf } from '../authentication/user-names.ts'
import { resourceInfo } from '../request/resource-info.ts'
import type { RequestInfo } from '../request/types.ts'
import type { Attributes } from './authorizer.ts'

/** The attributes for each part of the user; authorized one by one. */
export interface ImpersonationParts {
  readonly name: Attributes
  /** Undefined without a uid. */
  readonly uid: Attributes | undefined
  readonly groups: readonly Attributes[]
  readonly extras: readonly Attributes[]
}

export interface ImpersonationVerb {
  readonly verb: string
  /** The API group of users, groups and service accounts. */
  readonly group: string
}

/** Every API server knows this verb. It has no word for nodes: they are users. */
export const LEGACY: ImpersonationVerb = { verb: 'impersonate', group: '' }

const AUTHENTICATION = 'authentication.k8s.io'

/** @param requested as the request names it, without groups that are added */
export function impersonationParts(
  caller: UserInfo,
  { username, uid, groups, extra }: UserInfo,
  { verb, group }: ImpersonationVerb = LEGACY,
): ImpersonationParts {
  const of = (part: Partial<RequestInfo> & Pick<RequestInfo, 'apiGroup'>): Attributes => ({
    user: caller,
    info: resourceInfo({ verb, ...part }),
  })
  return {
    name: of({ apiGroup: group, ...namedPart(username, group) }),
    uid: uid === '' ? undefined : of({ apiGroup: AUTHENTICATION, resource: 'uids', name: uid }),
    groups: groups.map((name) => of({ apiGroup: group, resource: 'groups', name })),
    extras: Object.entries(extra).flatMap(([subresource, values]) =>
      values.map((name) =>
        of({ apiGroup: AUTHENTICATION, resource: 'userextras', subresource, name }),
      ),
    ),
  }
}

/** All parts, in the order in which kube-apiserver authorizes them. */
export function impersonationAttributes(
  caller: UserInfo,
  requested: UserInfo,
): readonly Attributes[] {
  const { name, uid, groups, extras } = impersonationParts(caller, requested)
  return [name, ...(uid === undefined ? [] : [uid]), ...groups, ...extras]
}

function namedPart(username: string, group: string): Partial<RequestInfo> {
  const account = serviceAccountOf(username)
  if (account !== undefined) return { resource: 'serviceaccounts', ...account }
  const node = group === '' ? undefined : nodeOf(username)
  return node === undefined
    ? { resource: 'users', name: username }
    : { resource: 'nodes', name: node }
}
