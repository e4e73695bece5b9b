import type { ClientRequest } from '../http/exchange.ts'
import type { Limiter } from '../limits/limiter.ts'
import type { Handler } from '../pipeline/frame.ts'
import { StatusError } from '../status.ts'
import type { PageRoutes } from './pages/pages.ts'

export interface Routes {
  readonly discovery: Handler
  readonly whoami: Handler
  readonly locks: Handler
  readonly certificates: Handler
  /** Undefined when no issuer may end sign-ins. Served at every host: issuers know one URL. */
  readonly backchannelLogout?: Handler | undefined
  /** Undefined without transmitters. Served at every host, too. */
  readonly securityEvents?: Handler | undefined
  /** Undefined when no pages are configured. */
  readonly pages?: PageRoutes | undefined
  /** Everything else: the Kubernetes API. */
  readonly kubernetes: Handler
}

/** Paths of Gatehouse itself. They are compared byte for byte: any other spelling is a Kubernetes path. */
export const DISCOVERY_PATH = '/.well-known/gatehouse'
const OWN_PREFIX = '/gatehouse'
const WHOAMI_PATH = `${OWN_PREFIX}/api/whoami`
const LOCKS_PATH = `${OWN_PREFIX}/api/locks`
const BACKCHANNEL_LOGOUT_PATH = `${OWN_PREFIX}/backchannel-logout`
const SECURITY_EVENTS_PATH = `${OWN_PREFIX}/security-events`
const CERTIFICATES_PATH = `${OWN_PREFIX}/api/v1/certificates`

/** Paths of which clients or issuers know one URL. */
const AT_EVERY_HOST: ReadonlySet<string> = new Set([
  ...[DISCOVERY_PATH, BACKCHANNEL_LOGOUT_PATH, SECURITY_EVENTS_PATH],
])

/** What serves a request, and its name in the metrics. */
interface Route {
  readonly name: string
  readonly handler: Handler
}

export interface RoutesEffects {
  /** Members are read anew for every request. */
  readonly stages: { readonly limiter: Pick<Limiter, 'admitSignIn'> }
}

/**
 * Selects the handler of a request by its path, and by its host where pages have one of their own; the
 * query has no influence. Those of Gatehouse itself have a limit of their own.
 */
export function createRoutes(
  routes: Routes,
  { stages }: RoutesEffects,
): (request: ClientRequest) => Handler {
  const { discovery, pages, kubernetes } = routes
  const limited = (select: (path: string, request: ClientRequest) => Route): Handler => {
    return async (exchange, record, observed) => {
      const { request } = exchange
      record.servedHere()
      const { name, handler } = select(pathOf(request), request)
      observed.handler = name
      observed.verb = request.method.toLowerCase()
      await stages.limiter.admitSignIn(request.connection.remoteAddress)
      return handler(exchange, record, observed)
    }
  }

  const apis = routesOf([
    [DISCOVERY_PATH, 'discovery', discovery],
    [WHOAMI_PATH, 'whoami', routes.whoami],
    [LOCKS_PATH, 'locks', routes.locks],
    [CERTIFICATES_PATH, 'certificates', routes.certificates],
    [BACKCHANNEL_LOGOUT_PATH, 'backchannel-logout', routes.backchannelLogout],
    [SECURITY_EVENTS_PATH, 'security-events', routes.securityEvents],
  ])
  const page = (handler: Handler | undefined): Route | undefined =>
    handler === undefined ? undefined : { name: 'pages', handler }

  const own = limited((path, request) => {
    const api = apis.get(path)
    if (api !== undefined) return api
    if (pages === undefined) return NOT_FOUND
    if (path !== '/' && pages.isForPages(request)) return page(pages.byPath.get(path)) ?? NOT_FOUND
    return pages.isBrowser(request) ? { name: 'pages', handler: pages.start } : NOT_FOUND
  })

  /** The host of the pages serves no other path, and no API. */
  const atOwnHost = limited((path) => {
    if (AT_EVERY_HOST.has(path)) return apis.get(path) ?? NOT_FOUND
    const found = path === '/' ? pages?.start : pages?.byPath.get(path)
    return page(found ?? pages?.notHere) ?? NOT_FOUND
  })

  const misdirected = limited(() => page(pages?.misdirected) ?? NOT_FOUND)

  function byPath(request: ClientRequest): Handler {
    const path = pathOf(request)
    if (path === '/') return pages?.isBrowser(request) === true ? own : kubernetes
    const isOwn =
      path === DISCOVERY_PATH || path === OWN_PREFIX || path.startsWith(`${OWN_PREFIX}/`)
    return isOwn ? own : kubernetes
  }

  return (request) => {
    if (pages?.isSeparate === true) {
      if (pages.isForPages(request)) return atOwnHost
      if (pages.isMisdirected(request)) return misdirected
    }
    const { rawTarget } = request
    // The hot path: no Kubernetes path begins with these characters, except for its root.
    const isKubernetes =
      !rawTarget.startsWith('/g') && !rawTarget.startsWith('/.') && rawTarget !== '/'
    return isKubernetes ? kubernetes : byPath(request)
  }
}

/** Those that are served. */
function routesOf(
  all: readonly (readonly [path: string, name: string, handler: Handler | undefined])[],
): ReadonlyMap<string, Route> {
  return new Map(
    all.flatMap(([path, name, handler]) =>
      handler === undefined ? [] : [[path, { name, handler }] as const],
    ),
  )
}

function pathOf({ rawTarget }: ClientRequest): string {
  const [path = ''] = rawTarget.split('?', 1)
  return path
}

const NOT_FOUND: Route = {
  name: 'none',
  handler: async ({ request }) => {
    throw new StatusError('NotFound', 'the server could not find the requested resource', {
      closeConnection: request.hasBody,
    })
  },
}
