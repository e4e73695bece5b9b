import { hash } from 'node:crypto'

import type { AuditRecord } from '../audit/record.ts'
import type { AuthenticationConfiguration } from '../authentication/oidc/authentication-config.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Frame, Handled, Handler, Observed } from '../pipeline/frame.ts'
import { StatusError } from '../status.ts'
import {
  discoveryDocument,
  type DiscoverySources,
  type IssuedCertificatesOptions,
  type OidcMethod,
  type SignInOptions,
} from './discovery-document.ts'
import { requireRead, respond } from './own-response.ts'

/** How long a client may use the document without asking again, in seconds. */
const MAX_AGE = 300

export interface Discovery {
  /** Serves the document to anybody. Its events count as those of unauthenticated clients. */
  readonly handle: (ownHeaders: Frame['ownHeaders']) => Handler
  updateAuthentication(next: AuthenticationConfiguration): void
  updateServingCA(pem: string): void
  /** The methods with an issuer that the document names, the one that clients choose by themselves first. */
  methods(): readonly OidcMethod[]
}

/** Creates what serves the discovery document. It is rendered again only when a source changes. */
export function createDiscovery(
  options: SignInOptions,
  issuedCertificates?: IssuedCertificatesOptions,
): Discovery {
  let sources: DiscoverySources = {
    options,
    authentication: undefined,
    servingCA: undefined,
    issuedCertificates,
  }
  let rendered: { readonly body: string; readonly etag: string } | undefined

  const update = (next: Partial<DiscoverySources>): void => {
    sources = { ...sources, ...next }
    rendered = undefined
  }

  function render(): { readonly body: string; readonly etag: string } {
    const body = `${JSON.stringify(discoveryDocument(sources))}\n`
    return { body, etag: `"${hash('sha256', body, 'base64url').slice(0, 22)}"` }
  }

  return {
    updateAuthentication: (authentication) => update({ authentication }),
    updateServingCA: (servingCA) => update({ servingCA }),
    methods: () => discoveryDocument(sources).methods.filter((method) => method.type === 'oidc'),
    handle:
      (ownHeaders) =>
      async (exchange: Exchange, record: AuditRecord, observed: Observed): Promise<Handled> => {
        observed.verb = exchange.request.method.toLowerCase()
        requireRead(exchange)
        if (!options.enabled) {
          throw new StatusError(
            'NotFound',
            'this Gatehouse does not publish how to sign in: ask your Gatehouse administrator for a kubeconfig',
          )
        }
        rendered ??= render()
        const { body, etag } = rendered
        return respond(exchange, record, ownHeaders, {
          code: matches(exchange.header('if-none-match'), etag) ? 304 : 200,
          headers: [
            ...['Content-Type', 'application/json'],
            ...['Cache-Control', `public, max-age=${MAX_AGE}`],
            ...['ETag', etag],
          ],
          body,
        })
      },
  }
}

/** RFC 9110 section 13.1.2, with weak comparison. */
function matches(condition: string | undefined, etag: string): boolean {
  if (condition === undefined) return false
  return condition.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
}
