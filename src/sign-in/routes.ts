import type { ClientRequest } from '../http/exchange.ts'
import type { Limiter } from '../limits/limiter.ts'
import type { Handler } from '../pipeline/frame.ts'
import { StatusError } from '../status.ts'

export interface Routes {
  readonly discovery: Handler
  readonly whoami: Handler
  readonly locks: Handler
  /** Everything else: the Kubernetes API. */
  readonly kubernetes: Handler
}

/** Paths of Gatehouse itself. They are compared byte for byte: any other spelling is a Kubernetes path. */
export const DISCOVERY_PATH = '/.well-known/gatehouse'
const OWN_PREFIX = '/gatehouse'
const WHOAMI_PATH = `${OWN_PREFIX}/api/whoami`
const LOCKS_PATH = `${OWN_PREFIX}/api/locks`

export interface RoutesEffects {
  /** Members are read anew for every request. */
  readonly stages: { readonly limiter: Pick<Limiter, 'admitSignIn'> }
}

/**
 * Selects the handler of a request by its path; the query has no influence. Those of Gatehouse itself
 * have a limit of their own.
 */
export function createRoutes(
  routes: Routes,
  { stages }: RoutesEffects,
): (request: ClientRequest) => Handler {
  const limited = (handler: Handler): Handler => {
    return async (exchange, record, observed) => {
      const { connection, method } = exchange.request
      observed.verb = method.toLowerCase()
      await stages.limiter.admitSignIn(connection.remoteAddress)
      return handler(exchange, record, observed)
    }
  }
  const discovery = limited(routes.discovery)
  const whoami = limited(routes.whoami)
  const locks = limited(routes.locks)
  const unknown = limited(notFound)
  return ({ rawTarget }) => {
    // The hot path: no Kubernetes path begins with these characters.
    if (!rawTarget.startsWith('/g') && !rawTarget.startsWith('/.')) return routes.kubernetes
    const path = rawTarget.split('?', 1)[0]
    if (path === DISCOVERY_PATH) return discovery
    if (path === WHOAMI_PATH) return whoami
    if (path === LOCKS_PATH) return locks
    if (path === OWN_PREFIX || path?.startsWith(`${OWN_PREFIX}/`) === true) return unknown
    return routes.kubernetes
  }
}

const notFound: Handler = async ({ request }, _record, observed) => {
  observed.verb = request.method.toLowerCase()
  throw new StatusError('NotFound', 'the server could not find the requested resource', {
    closeConnection: request.hasBody,
  })
}
