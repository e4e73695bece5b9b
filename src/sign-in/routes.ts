import type { ClientRequest } from '../http/exchange.ts'
import type { Handler } from '../pipeline/frame.ts'
import { StatusError } from '../status.ts'

export interface Routes {
  readonly discovery: Handler
  readonly whoami: Handler
  /** Everything else: the Kubernetes API. */
  readonly kubernetes: Handler
}

/** Paths of Gatehouse itself. They are compared byte for byte: any other spelling is a Kubernetes path. */
export const DISCOVERY_PATH = '/.well-known/gatehouse'
const OWN_PREFIX = '/gatehouse'
const WHOAMI_PATH = `${OWN_PREFIX}/api/whoami`

/** Selects the handler of a request by its path; the query has no influence. */
export function createRoutes(routes: Routes): (request: ClientRequest) => Handler {
  return ({ rawTarget }) => {
    // The hot path: no Kubernetes path begins with these characters.
    if (!rawTarget.startsWith('/g') && !rawTarget.startsWith('/.')) return routes.kubernetes
    const path = rawTarget.split('?', 1)[0]
    if (path === DISCOVERY_PATH) return routes.discovery
    if (path === WHOAMI_PATH) return routes.whoami
    if (path === OWN_PREFIX || path?.startsWith(`${OWN_PREFIX}/`) === true) return notFound
    return routes.kubernetes
  }
}

const notFound: Handler = async ({ request }, _record, observed) => {
  observed.verb = request.method.toLowerCase()
  throw new StatusError('NotFound', 'the server could not find the requested resource', {
    closeConnection: request.hasBody,
  })
}
