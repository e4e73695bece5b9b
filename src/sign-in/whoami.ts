import type { AuditRecord } from '../audit/record.ts'
import type { Authentication } from '../authentication/authenticator.ts'
import type { Exchange } from '../http/exchange.ts'
import { rateLimitHeaders } from '../limits/headers.ts'
import type { OriginPolicy } from '../pipeline/cross-site.ts'
import type { Frame, Handled, Handler, Observed } from '../pipeline/frame.ts'
import { identify, type ApiStages } from './identify.ts'
import { requireRead, respond } from './own-response.ts'

export interface WhoAmIOptions {
  readonly stages: ApiStages
  readonly ownHeaders: Frame['ownHeaders']
  readonly originPolicy: OriginPolicy
}

/**
 * Creates the handler of `/gatehouse/api/whoami`: the user as Gatehouse sees it, before rules and the
 * API server. It takes the credentials of the Kubernetes API, and no rule can forbid it.
 */
export function createWhoAmI(options: WhoAmIOptions): Handler {
  const { stages, ownHeaders } = options
  return async (exchange: Exchange, record: AuditRecord, observed: Observed): Promise<Handled> => {
    observed.verb = exchange.request.method.toLowerCase()
    requireRead(exchange)
    const authentication = await identify(exchange, record, options)
    observed.requestClass = 'read'
    const slot = await stages.limiter.admitUser(authentication.user, 'read')
    try {
      record.admitted()
      return await respond(exchange, record, ownHeaders, {
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
