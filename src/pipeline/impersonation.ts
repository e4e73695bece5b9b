/** The stage between limits and authorization that turns a caller into the user of `kubectl --as`. */
import type { UserInfo } from '../authentication/authenticator.ts'
import { admit, type Attributes } from '../authorization/authorizer.ts'
import { impersonationAttributes } from '../authorization/impersonation-attributes.ts'
import type { RawHeaders } from '../http/exchange.ts'
import type { ImpersonatedUser } from '../impersonation/impersonator.ts'
import { requestedUser } from '../impersonation/requested-user.ts'
import type { RequestInfo } from '../request/types.ts'
import type { Cluster } from './cluster.ts'
import { refuseImpersonation } from './unsupported.ts'

export interface ImpersonationInput {
  readonly caller: UserInfo
  readonly rawHeaders: RawHeaders
  readonly info: RequestInfo
  readonly cluster: Pick<Cluster, 'authorize' | 'impersonate'>
  /** Name of the first impersonation header, as sent. */
  readonly header: string
  /** Called with what the rules are asked about the caller, before they are asked. */
  readonly onAsked: (asked: readonly Attributes[]) => void
}

/**
 * Resolves with undefined when the request does not impersonate anybody after all. The rules are asked
 * for the verb `impersonate` on each part of the requested user, whichever mode the API server grants,
 * and then the API server is.
 *
 * @throws StatusError 400 for headers that contradict each other; 403 when impersonation is not
 * configured, or the caller may not impersonate this user; 503 when the API server does not decide
 */
export async function impersonate({
  caller,
  rawHeaders,
  info,
  cluster,
  header,
  onAsked,
}: ImpersonationInput): Promise<ImpersonatedUser | undefined> {
  if (cluster.impersonate === undefined) refuseImpersonation(header)
  const requested = requestedUser(rawHeaders)
  if (requested === undefined) return undefined
  const asked = impersonationAttributes(caller, requested)
  onAsked(asked)
  for (const attributes of asked) await admit(attributes, cluster.authorize, () => undefined)
  return cluster.impersonate({ caller, requested, info })
}
