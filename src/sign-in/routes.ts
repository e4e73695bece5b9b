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
  const limited = (select: (path: string, request: ClientRequest) => Handler): Handler => {
    return async (exchange, record, observed) => {
      const { request } = exchange
      record.servedHere()
      observed.verb = request.method.toLowerCase()
      await stages.limiter.admitSignIn(request.connection.remoteAddress)
      return select(pathOf(request), request)(exchange, record, observed)
    }
  }

  const own = limited((path, request) => {
    if (path === DISCOVERY_PATH) return discovery
    if (path === WHOAMI_PATH) return whoami
    if (path === LOCKS_PATH) return locks
    if (path === CERTIFICATES_PATH) return certificates
    if (pages === undefined) return notFound
    if (path !== '/' && pages.isForPages(request)) return pages.byPath.get(path) ?? notFound
    return pages.isBrowser(request) ? pages.start : notFound
  })

  /** The host of the pages serves no other path, and no API. */
  const atOwnHost = limited((path) => {
    if (path === DISCOVERY_PATH) return discovery
    return (path === '/' ? pages?.start : pages?.byPath.get(path)) ?? pages?.notHere ?? notFound
  })

  const misdirected = limited(() => pages?.misdirected ?? notFound)

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

const notFound: Handler = async ({ request }, _record, observed) => {
  observed.verb = request.method.toLowerCase()
  throw new StatusError('NotFound', 'the server could not find the requested resource', {
    closeConnection: request.hasBody,
  })
}
