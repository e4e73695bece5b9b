import { z } from 'zod'

import { quote } from '../quote.ts'
import type { JsonFetcher } from './json-fetch.ts'

export interface DiscoveryOptions {
  /** The issuer's URL exactly as configured, which `iss` must equal. */
  readonly issuer: string
  /** URL of the document; undefined: the well-known path below the issuer's URL. */
  readonly discoveryUrl: string | undefined
  readonly fetchJson: JsonFetcher['fetchJson']
  readonly signal: AbortSignal
}

const discoveryDocument = z.looseObject({ issuer: z.string(), jwks_uri: z.string() })

/**
 * Fetches the discovery document and returns its `jwks_uri` (OpenID Connect Discovery 1.0 section
 * 4). The document must name the issuer, or one issuer could impersonate another (section 4.3).
 * Rejects with an Error.
 */
export async function discoverJwksUri(options: DiscoveryOptions): Promise<URL> {
  const { issuer, fetchJson, signal } = options
  const url = new URL(options.discoveryUrl ?? wellKnownUrl(issuer))
  const { success, data } = discoveryDocument.safeParse(await fetchJson(url, signal))
  if (!success) {
    throw new Error(`${url.href} is not a discovery document: issuer or jwks_uri is missing`)
  }
  if (data.issuer !== issuer) {
    throw new Error(`${url.href} names another issuer: ${quote(data.issuer)}`)
  }
  return jwksUri(url, data.jwks_uri)
}

function wellKnownUrl(issuer: string): string {
  return `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
}

/** It is a part of log lines and of requests. */
const MAX_URL_LENGTH = 2_048

function jwksUri(document: URL, text: string): URL {
  if (text.length > MAX_URL_LENGTH) {
    throw new Error(`${document.href} has a jwks_uri of more than ${MAX_URL_LENGTH} characters`)
  }
  const uri = URL.parse(text)
  if (uri?.protocol !== 'https:' || uri.username !== '' || uri.password !== '') {
    throw new Error(`${document.href} has a jwks_uri that is not an https URL without credentials`)
  }
  return uri
}
