/** The sign-in method of a server: which one, what it needs of the user, and whether the user trusts the server. */
import { newBindingCertificate, userCertificate } from './certificate/binding-certificate.ts'
import type { Discovery, LdapMethod, OidcMethod } from './discovery.ts'
import { ClientFailure } from './failure.ts'
import type { Server } from './server.ts'
import type { KnownServers } from './session/known-servers.ts'
import type { CertificateFiles, CertificatePair } from './session/session.ts'
import { confirm, type Terminal } from './terminal.ts'

export interface BindingWishes {
  /** Whether a client certificate is wanted, besides the token. */
  readonly certificate: boolean
  /** The user's own certificate, to which the token is to be bound; undefined for none. */
  readonly certificateFiles?: CertificateFiles | undefined
}

export interface AcceptEffects {
  readonly knownServers: KnownServers
  readonly terminal: Terminal
}

/**
 * The method of a name, or the first one.
 *
 * @throws ClientFailure when there is none that this version knows
 */
export function chooseMethod(
  server: Server,
  discovery: Discovery,
  name: string,
): OidcMethod | LdapMethod {
  const { methods } = discovery
  const known = methods.filter((method) => method.type !== 'unknown')
  const chosen = name === '' ? known[0] : methods.find((method) => method.name === name)
  if (chosen !== undefined && chosen.type !== 'unknown') return chosen
  const { origin } = server
  if (chosen !== undefined || (name === '' && methods.length > 0)) {
    const unknown = chosen?.name ?? methods.map((method) => method.name).join(', ')
    throw new ClientFailure(
      'unavailable',
      `${origin} offers a sign-in method that this version does not know (${unknown}): update gatehouse`,
    )
  }
  const names = known.map((method) => method.name).join(', ')
  throw new ClientFailure(
    name === '' ? 'unavailable' : 'usage',
    name === '' || names === ''
      ? `${origin} offers no way to sign in: ask your Gatehouse administrator`
      : `${origin} has no sign-in method ${JSON.stringify(name)}: use one of: ${names}`,
  )
}

/** Asks once before the user signs in at a server besides those that are known. */
export async function acceptClient(
  server: Server,
  method: OidcMethod,
  { acceptSharedClient }: { readonly acceptSharedClient: boolean },
  { knownServers, terminal }: AcceptEffects,
): Promise<void> {
  const others = knownServers.othersOf(server, method)
  if (others.length === 0 || acceptSharedClient) return
  const known = others.join(', ')
  const what =
    `${server.origin} signs users in as the client ${JSON.stringify(method.clientID)} of ` +
    `${method.issuer}, and you have signed in at ${known} before. If ${server.origin} is not the server ` +
    `that you think it is, it could use this sign-in at ${known}.`
  if (terminal.isInteractive) {
    terminal.print(what)
    if (await confirm(terminal, `Do you trust ${server.origin} as much as ${known}?`)) return
  }
  throw new ClientFailure(
    'untrusted',
    `${what} If you trust it, run gatehouse login ${server.origin} --accept-shared-client`,
  )
}

/**
 * The certificate that the token of a new sign-in is bound to; undefined for a method without.
 *
 * @throws ClientFailure when the user must provide one, must not, or provides one that cannot be used
 */
export function bindingOf(
  { origin }: Server,
  { name, boundTokens }: OidcMethod,
  { certificate, certificateFiles }: BindingWishes,
): CertificatePair | undefined {
  const fail = (message: string): never => {
    throw new ClientFailure('usage', message)
  }
  if (boundTokens === undefined) {
    if (certificateFiles === undefined) return undefined
    return fail(
      `${origin} binds no tokens to certificates for the sign-in method ${name}: leave out --client-certificate and --client-key`,
    )
  }
  if (certificate) {
    return fail(
      `the sign-in method ${name} of ${origin} has tokens that are bound to a certificate: leave out --certificate`,
    )
  }
  if (certificateFiles !== undefined) return userCertificate(certificateFiles)
  if (boundTokens === 'selfSigned') return newBindingCertificate()
  return fail(
    `${origin} needs your client certificate for the sign-in method ${name}: use --client-certificate and --client-key`,
  )
}

/**
 * How old the user's sign-in at the issuer may be: half of what the server allows, so that it is good for
 * certificates for a while.
 *
 * @throws ClientFailure when the server issues no certificates
 */
export function maxAgeOf(server: Server, { name, certificates }: OidcMethod): number {
  if (certificates !== undefined) return Math.floor(certificates.maxSignInAge / 2)
  throw new ClientFailure(
    'usage',
    `${server.origin} issues no certificates for the sign-in method ${name}: leave out --certificate`,
  )
}
