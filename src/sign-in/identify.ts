import type { AuditRecord } from '../audit/record.ts'
import type { Authentication, Authenticator } from '../authentication/authenticator.ts'
import { unauthorized } from '../authentication/bearer.ts'
import type { Exchange } from '../http/exchange.ts'
import { inspectHeaders } from '../http/inspect.ts'
import type { Limiter } from '../limits/limiter.ts'
import { refuseLocked, type Locks } from '../locks/locks.ts'
import { refuseCrossSite, type OriginPolicy } from '../pipeline/cross-site.ts'
import { refuseImpersonation } from '../pipeline/unsupported.ts'

/** Members are read anew for every request. */
export interface ApiStages {
  readonly limiter: Limiter
  readonly authenticate: Authenticator
  readonly locks: Pick<Locks, 'refusalOf'>
}

/**
 * Finds out who sends a request to `/gatehouse/api/`, by a credential of the Kubernetes API.
 *
 * @param otherwise signs a client in that has none
 * @throws StatusError 401 without a valid credential; 403 for a locked user, a request of another site,
 * and one that asks for impersonation
 */
export async function identify(
  exchange: Exchange,
  record: AuditRecord,
  { stages, originPolicy }: { readonly stages: ApiStages; readonly originPolicy: OriginPolicy },
  otherwise: () => Promise<Authentication> = noCredential,
): Promise<Authentication> {
  const { connection, rawHeaders } = exchange.request
  const headers = inspectHeaders(rawHeaders)
  const recognized = await stages.authenticate({
    connection,
    authorization: headers.authorization,
    webSocketToken: undefined,
    rawHeaders,
  })
  const authentication = recognized ?? (await otherwise())
  record.authenticated(authentication)
  exchange.recognized()
  refuseCrossSite(connection, headers, originPolicy)
  refuseLocked(stages.locks, authentication, connection)
  if (headers.impersonation !== undefined) refuseImpersonation(headers.impersonation)
  return authentication
}

async function noCredential(): Promise<never> {
  throw unauthorized('no credential')
}
