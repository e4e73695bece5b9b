/** The issuer of a method, as openid-client uses it. */
import * as openid from 'openid-client'

import { ClientFailure, printable } from '../failure.ts'
import { createHttpClient, fetchBy } from '../net/http-client.ts'
import type { CertificatePair } from '../session/session.ts'
import { issuerFailure } from './issuer-failure.ts'

export interface IssuerOptions {
  readonly issuer: string
  /** Empty for the well-known place below the issuer. */
  readonly discoveryURL: string
  /** PEM; empty for the CAs that this machine trusts. */
  readonly certificateAuthority: string
  readonly clientID: string
  /** Empty for a client without one. */
  readonly clientSecret: string
  /** The client certificate of the requests, to which tokens are bound (RFC 8705); undefined: none. */
  readonly certificate?: CertificatePair | undefined
}

export interface OpenIssuer {
  readonly configuration: openid.Configuration
  readonly close: () => Promise<void>
}

const WELL_KNOWN = '/.well-known/openid-configuration'

/**
 * Fetches the issuer's metadata.
 *
 * @throws ClientFailure
 */
export async function openIssuer(options: IssuerOptions): Promise<OpenIssuer> {
  const { issuer, clientID, clientSecret, discoveryURL, certificate } = options
  const http = createHttpClient({ ca: options.certificateAuthority, certificate })
  try {
    const configuration = await openid.discovery(
      metadataURL(issuer, discoveryURL),
      clientID,
      // RFC 8705 section 5: an issuer may have other endpoints for clients with certificates.
      certificate === undefined ? undefined : { use_mtls_endpoint_aliases: true },
      clientSecret === '' ? openid.None() : openid.ClientSecretPost(clientSecret),
      {
        [openid.customFetch]: fetchBy(http),
        // Signatures of ID tokens are verified even though they come over TLS.
        execute: [openid.enableNonRepudiationChecks],
      },
    )
    const metadata = configuration.serverMetadata()
    if (metadata.issuer !== issuer) {
      throw new ClientFailure(
        'unavailable',
        `the metadata of ${issuer} names another issuer: ${printable(metadata.issuer)}; ` +
          'ask your Gatehouse administrator',
      )
    }
    return { configuration, close: () => http.close() }
  } catch (error) {
    await http.close()
    throw issuerFailure(issuer, error)
  }
}

/** openid-client takes a URL with /.well-known/ as it is. */
function metadataURL(issuer: string, discoveryURL: string): URL {
  return new URL(discoveryURL === '' ? issuer.replace(/\/$/, '') + WELL_KNOWN : discoveryURL)
}

/** `offline_access` and others are requested only from an issuer that has them. */
export function scopesFor(
  configuration: openid.Configuration,
  { scopes, optionalScopes }: { scopes: readonly string[]; optionalScopes: readonly string[] },
): readonly string[] {
  const { scopes_supported: supported } = configuration.serverMetadata()
  const offered = optionalScopes.filter((scope) => supported?.includes(scope) === true)
  return [...new Set([...scopes, ...offered])]
}
