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
const CERTIFICATES_PATH = `${OWN_PREFIX}/api/v1/certificates`

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
  { discovery, whoami, locks, certificates, pages, kubernetes }: Routes,
  { stages }: RoutesEffects,
): (request: ClientRequest) => Handler {
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

  const apis: ReadonlyMap<string, Route> = new Map([
    [DISCOVERY_PATH, { name: 'discovery', handler: discovery }],
    [WHOAMI_PATH, { name: 'whoami', handler: whoami }],
    [LOCKS_PATH, { name: 'locks', handler: locks }],
    [CERTIFICATES_PATH, { name: 'certificates', handler: certificates }],
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
    if (path === DISCOVERY_PATH) return apis.get(path) ?? NOT_FOUND
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
