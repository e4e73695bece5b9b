/** Reads the discovery document of a Gatehouse. Nothing in it is trusted before it is checked. */
import { ClientFailure, printable } from './failure.ts'
import { isCertificateBundle } from './net/certificates.ts'
import type { HttpClient, HttpResponse } from './net/http-client.ts'
import { describeNetworkError } from './net/network-error.ts'

export interface Discovery {
  readonly displayName: string
  readonly clusterName: string | undefined
  /** PEM; empty when the server has a public CA. */
  readonly certificateAuthority: string
  readonly methods: readonly Method[]
}

/** A method that this version knows, or one that a later version of Gatehouse added. */
export type Method = OidcMethod | LdapMethod | { readonly type: 'unknown'; readonly name: string }

/** A user name and a password, for a certificate. */
export interface LdapMethod {
  readonly type: 'ldap'
  readonly name: string
}

export interface OidcMethod {
  readonly type: 'oidc'
  readonly name: string
  readonly issuer: string
  readonly discoveryURL: string
  readonly certificateAuthority: string
  readonly clientID: string
  /** Empty for most: what an issuer requires of a public client proves nothing. */
  readonly clientSecret: string
  readonly scopes: readonly string[]
  readonly optionalScopes: readonly string[]
  readonly extraParameters: Readonly<Record<string, string>>
  readonly redirectURIs: readonly string[]
  readonly deviceAuthorization: boolean
  /**
   * The credential is an access token that the issuer binds to a certificate (RFC 8705): to one that this program
   * makes, or to one that the user has. Undefined: it is the ID token.
   */
  readonly boundTokens: 'selfSigned' | 'clientCertificate' | undefined
  /** Undefined: the server issues no certificates for a sign-in by this method. */
  readonly certificates: CertificateTerms | undefined
}

/** For how long a server issues certificates, in seconds. */
export interface CertificateTerms {
  /** How long after the sign-in. */
  readonly maxSignInAge: number
}

const PATH = '/.well-known/gatehouse'

/**
 * Fetches the document.
 *
 * @throws the network's error, so that the caller can deal with an untrusted CA; ClientFailure for a
 * response that is not a discovery document of a known version
 */
export async function fetchDiscovery(origin: string, http: HttpClient): Promise<Discovery> {
  return parseDiscovery(origin, await http.send(`${origin}${PATH}`))
}

/** Like {@link fetchDiscovery}, with every error as a ClientFailure. */
export async function requireDiscovery(origin: string, http: HttpClient): Promise<Discovery> {
  try {
    return await fetchDiscovery(origin, http)
  } catch (error) {
    if (error instanceof ClientFailure) throw error
    const reason = describeNetworkError(error)
    throw new ClientFailure('unavailable', `cannot reach ${origin}: ${reason}`, { cause: error })
  }
}

function parseDiscovery(origin: string, { status, body }: HttpResponse): Discovery {
  const document = objectOf(parsed(body))
  if (status !== 200) throw refusedBy(origin, status, document)
  const { apiVersion, kind } = document
  if (typeof apiVersion !== 'string' || !apiVersion.startsWith('gatehouse/')) {
    throw new ClientFailure('unavailable', `${origin} is not a Gatehouse: check the URL`)
  }
  if (apiVersion !== 'gatehouse/v1' || kind !== 'SignInDiscovery') {
    throw new ClientFailure(
      'unavailable',
      `${origin} needs a newer version of this program (${printable(apiVersion)}): update gatehouse`,
    )
  }
  const certificateAuthority = textOr(document['certificateAuthority'], '')
  if (certificateAuthority !== '' && !isCertificateBundle(certificateAuthority)) {
    throw broken(origin, 'its CA cannot be parsed')
  }
  return {
    displayName: printable(textOr(document['displayName'], 'Gatehouse')),
    clusterName: clusterName(document['clusters']),
    certificateAuthority,
    methods: listOf(document['methods']).map((method) => parseMethod(origin, objectOf(method))),
  }
}

function refusedBy(origin: string, status: number, { kind, message }: Fields): ClientFailure {
  // A Gatehouse publishes the document to everybody; an API server refuses those without a credential.
  const isPublic = status !== 401 && status !== 403
  if (isPublic && kind === 'Status' && typeof message === 'string') {
    return new ClientFailure('unavailable', `${origin}: ${printable(message)}`)
  }
  return new ClientFailure(
    'unavailable',
    `${origin} is not a Gatehouse, or cannot be reached (HTTP ${status}): check the URL`,
  )
}

function clusterName(clusters: unknown): string | undefined {
  const { name } = objectOf(listOf(clusters)[0])
  // It becomes a part of file contents and command lines.
  return typeof name === 'string' && /^[a-z0-9][a-z0-9.-]{0,252}$/.test(name) ? name : undefined
}

function parseMethod(origin: string, method: Fields): Method {
  const { name, type } = method
  if (typeof name !== 'string' || !/^[a-z0-9-]{1,63}$/.test(name)) {
    throw broken(origin, 'a sign-in method has no valid name')
  }
  if (type === 'ldap') return { type, name }
  if (type !== 'oidc') return { type: 'unknown', name }
  const issuer = httpsURL(origin, method['issuer'], 'issuer')
  const clientID = textOr(method['clientID'], '')
  if (clientID === '') throw broken(origin, `the method ${name} has no client ID`)
  // RFC 6749 appendix A.1. It is printed in the question whether the server is trusted.
  if (!/^[\x20-\x7e]{1,256}$/.test(clientID)) {
    throw broken(origin, `the client ID of the method ${name} has characters that are not allowed`)
  }
  const certificateAuthority = textOr(method['certificateAuthority'], '')
  if (certificateAuthority !== '' && !isCertificateBundle(certificateAuthority)) {
    throw broken(origin, `the CA of the method ${name} cannot be parsed`)
  }
  const clientSecret = textOr(method['clientSecret'], '')
  if (!/^[\x21-\x7e]{0,256}$/.test(clientSecret)) {
    throw broken(
      origin,
      `the client secret of the method ${name} has characters that are not allowed`,
    )
  }
  const discoveryURL = method['discoveryURL']
  return {
    type: 'oidc',
    name,
    issuer,
    discoveryURL: discoveryURL === undefined ? '' : httpsURL(origin, discoveryURL, 'discovery URL'),
    certificateAuthority,
    clientID,
    clientSecret,
    scopes: ['openid', ...texts(method['scopes']).filter((scope) => scope !== 'openid')],
    optionalScopes: texts(method['optionalScopes']),
    extraParameters: extraParameters(method['extraParameters']),
    redirectURIs: redirectURIs(origin, method['redirectURIs']),
    deviceAuthorization: method['deviceAuthorization'] === true,
    boundTokens: boundTokens(origin, method['boundTokens']),
    certificates: certificateTerms(method['certificates']),
  }
}

/** A way that this version does not know cannot be left out: the token would be as good as a password. */
function boundTokens(origin: string, value: unknown): OidcMethod['boundTokens'] {
  if (value === undefined || value === 'selfSigned' || value === 'clientCertificate') return value
  throw broken(origin, 'it binds tokens in a way that this version does not know: update gatehouse')
}

function certificateTerms(value: unknown): CertificateTerms | undefined {
  const { maxSignInAge } = objectOf(value)
  const isAge = Number.isSafeInteger(maxSignInAge) && Number(maxSignInAge) > 0
  return isAge ? { maxSignInAge: Number(maxSignInAge) } : undefined
}

function httpsURL(origin: string, value: unknown, what: string): string {
  // It is printed as it is, and a terminal obeys control characters.
  if (typeof value === 'string' && /^[\x21-\x7e]+$/.test(value) && URL.canParse(value)) {
    const { protocol, username, password } = new URL(value)
    if (protocol === 'https:' && username === '' && password === '') return value
  }
  throw broken(origin, `its ${what} is not an https URL`)
}

/** Set by the client alone, whatever a server says. */
const PROTOCOL_PARAMETERS: ReadonlySet<string> = new Set([
  ...['client_id', 'client_secret', 'redirect_uri', 'response_type', 'response_mode', 'scope'],
  ...['state', 'nonce', 'code_challenge', 'code_challenge_method', 'request', 'request_uri'],
  ...['registration', 'dpop_jkt', 'id_token_hint'],
])

function extraParameters(value: unknown): Readonly<Record<string, string>> {
  const entries = Object.entries(objectOf(value)).filter(
    (entry): entry is [string, string] =>
      typeof entry[1] === 'string' && !PROTOCOL_PARAMETERS.has(entry[0]),
  )
  return Object.fromEntries(entries)
}

/** A redirect to anything but loopback would send the code to another machine. */
function redirectURIs(origin: string, value: unknown): readonly string[] {
  const uris = texts(value)
  const isLoopback = (uri: string): boolean => {
    // It is printed as it is.
    if (!/^[\x21-\x7e]{1,1024}$/.test(uri) || !URL.canParse(uri)) return false
    const { protocol, hostname, search, hash, username, password } = new URL(uri)
    if (username !== '' || password !== '') return false
    const isLocal = ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
    return protocol === 'http:' && isLocal && search === '' && hash === ''
  }
  if (uris.length === 0 || !uris.every(isLoopback)) {
    throw broken(origin, 'a redirect URI is not on loopback')
  }
  return uris
}

function broken(origin: string, problem: string): ClientFailure {
  return new ClientFailure(
    'unavailable',
    `the discovery document of ${origin} is not valid: ${problem}; ask your Gatehouse administrator`,
  )
}

type Fields = Readonly<Record<string, unknown>>

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function objectOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {}
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function texts(value: unknown): readonly string[] {
  return listOf(value).filter((each) => typeof each === 'string')
}

function textOr(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value : otherwise
}
