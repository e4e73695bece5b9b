import type { AuditRecord } from '../audit/record.ts'
import type { Authentication, Authenticator } from '../authentication/authenticator.ts'
import { unauthorized } from '../authentication/bearer.ts'
import type { Exchange } from '../http/exchange.ts'
import { inspectHeaders } from '../http/inspect.ts'
import { rateLimitHeaders } from '../limits/headers.ts'
import type { Limiter } from '../limits/limiter.ts'
import { refuseLocked, type Locks } from '../locks/locks.ts'
import { refuseCrossSite, type OriginPolicy } from '../pipeline/cross-site.ts'
import type { Frame, Handled, Handler, Observed } from '../pipeline/frame.ts'
import { refuseImpersonation } from '../pipeline/unsupported.ts'
import { requireRead, respond } from './own-response.ts'

export interface WhoAmIOptions {
  /** Members are read anew for every request. */
  readonly stages: {
    readonly limiter: Limiter
    readonly authenticate: Authenticator
    readonly locks: Pick<Locks, 'refusalOf'>
  }
  readonly ownHeaders: Frame['ownHeaders']
  readonly originPolicy: OriginPolicy
}

/**
 * Creates the handler of `/gatehouse/api/whoami`: the user as Gatehouse sees it, before rules and the
 * API server. It takes the credentials of the Kubernetes API, and no rule can forbid it.
 */
export function createWhoAmI({ stages, ownHeaders, originPolicy }: WhoAmIOptions): Handler {
  return async (exchange: Exchange, record: AuditRecord, observed: Observed): Promise<Handled> => {
    const { connection, rawHeaders, method } = exchange.request
    observed.verb = method.toLowerCase()
    const headers = inspectHeaders(rawHeaders)
    requireRead(exchange)
    const authentication = await stages.authenticate({
      connection,
      authorization: headers.authorization,
      webSocketToken: undefined,
    })
    if (authentication === undefined) throw unauthorized('no credential')
    record.authenticated(authentication)
    exchange.recognized()
    refuseCrossSite(connection, headers, originPolicy)
    refuseLocked(stages.locks, authentication, connection)
    if (headers.impersonation !== undefined) refuseImpersonation(headers.impersonation)
    observed.requestClass = 'read'
    const slot = await stages.limiter.admitUser(authentication.user, 'read')
    try {
      record.admitted()
      return respond(exchange, record, ownHeaders, {
        code: 200,
        headers: [
          ...['Content-Type', 'application/json', 'Cache-Control', 'no-store'],
          ...(slot.state === undefined ? [] : rateLimitHeaders(slot.state)),
        ],
        body: `${JSON.stringify(whoAmI(authentication, Date.now()))}\n`,
      })
    } finally {
      slot.release()
    }
  }
}

/** The members of `userInfo` are those of a SelfSubjectReview. `now` in milliseconds since the epoch. */
function whoAmI({ user, method, expiresAt }: Authentication, now: number): object {
  const { username, uid, groups, extra, unassertedGroups } = user
  return {
    apiVersion: 'gatehouse/v1',
    kind: 'WhoAmI',
    userInfo: { username, ...(uid === '' ? {} : { uid }), groups, extra },
    ...(unassertedGroups === undefined ? {} : { unassertedGroups }),
    method,
    ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
    // For a client whose clock is wrong.
    now: new Date(now).toISOString(),
  }
}
