/** The public document that tells a client how to sign in: `/.well-known/gatehouse`. */
import type {
  AuthenticationConfiguration,
  Issuer,
} from '../authentication/oidc/authentication-config.ts'
import type { Configuration } from '../config/schema.ts'
import { derivedScopes } from './derived-scopes.ts'

export type SignInOptions = Configuration['signIn']

/**
 * Version 1. Members may be added; clients ignore members that they do not know. Whatever an earlier
 * client would misunderstand needs another `apiVersion`.
 */
export interface DiscoveryDocument {
  readonly apiVersion: 'gatehouse/v1'
  readonly kind: 'SignInDiscovery'
  readonly displayName: string
  /** Behind this server; `name` is absent when the administrator gave none. */
  readonly clusters: readonly { readonly name?: string }[]
  /** The CA of the serving certificates, PEM; absent for a public CA. */
  readonly certificateAuthority?: string
  readonly methods: readonly (OidcMethod | LdapMethod)[]
}

/** A user name and a password, which `POST /gatehouse/api/v1/certificates` takes in place of a token. */
export interface LdapMethod {
  readonly name: string
  readonly type: 'ldap'
  readonly displayName?: string
  readonly certificates: CertificateTerms
}

/** Authorization code with PKCE at an OpenID Connect issuer; the ID token is the credential, unless bound. */
export interface OidcMethod {
  readonly name: string
  readonly type: 'oidc'
  readonly displayName?: string
  readonly issuer: string
  /** Where the issuer's metadata is, unless it is at the well-known place below `issuer`. */
  readonly discoveryURL?: string
  /** PEM; absent when the issuer has a public CA. */
  readonly certificateAuthority?: string
  readonly clientID: string
  /** Where the issuer requires one of a public client. It proves nothing, and is not a secret. */
  readonly clientSecret?: string
  /** Requested in any case. */
  readonly scopes: readonly string[]
  /** Requested if the issuer's metadata lists them in `scopes_supported`. */
  readonly optionalScopes: readonly string[]
  readonly extraParameters: Readonly<Record<string, string>>
  readonly redirectURIs: readonly string[]
  readonly deviceAuthorization: boolean
  /**
   * The credential is an access token that the issuer has bound to a client certificate (RFC 8705), which the
   * client makes, or which the user has; absent for the ID token.
   */
  readonly boundTokens?: 'selfSigned' | 'clientCertificate'
  /** Absent where no certificates are issued for a sign-in by this method. */
  readonly certificates?: CertificateTerms
}

/** For how long `POST /gatehouse/api/v1/certificates` issues certificates, in seconds. */
export interface CertificateTerms {
  readonly maxLifetime: number
  /** How long after the sign-in. */
  readonly maxSignInAge: number
}

/** What the document is made of. */
export interface DiscoverySources {
  readonly options: SignInOptions
  /** Undefined while no issuer is configured. */
  readonly authentication: AuthenticationConfiguration | undefined
  /** PEM; undefined without `signIn.caFile`. */
  readonly servingCA: string | undefined
  /** Undefined: no certificates are issued. */
  readonly issuedCertificates: IssuedCertificatesOptions | undefined
}

export type IssuedCertificatesOptions = NonNullable<
  Configuration['authentication']['issuedCertificates']
>

/** Makes the document. Methods whose issuer is not configured (any more) are left out. */
export function discoveryDocument(sources: DiscoverySources): DiscoveryDocument {
  const { options, authentication, servingCA, issuedCertificates } = sources
  const { displayName, clusterName } = options
  return {
    apiVersion: 'gatehouse/v1',
    kind: 'SignInDiscovery',
    displayName,
    clusters: [clusterName === undefined ? {} : { name: clusterName }],
    ...(servingCA === undefined ? {} : { certificateAuthority: servingCA }),
    methods: [
      ...methodsOf(options, authentication?.issuers ?? []).map((method) =>
        issuedCertificates?.issuers.includes(method.issuer) === true
          ? { ...method, certificates: termsOf(issuedCertificates) }
          : method,
      ),
      ...ldapMethods(issuedCertificates),
    ],
  }
}

function ldapMethods(issued: DiscoverySources['issuedCertificates']): readonly LdapMethod[] {
  if (issued === undefined) return []
  return issued.directories.map(({ name, displayName }) => ({
    name,
    type: 'ldap',
    ...(displayName === undefined ? {} : { displayName }),
    certificates: termsOf(issued),
  }))
}

function termsOf({ maxLifetime, maxSignInAge }: IssuedCertificatesOptions): CertificateTerms {
  return {
    maxLifetime: Math.floor(maxLifetime / 1_000),
    maxSignInAge: Math.floor(maxSignInAge / 1_000),
  }
}

/** The audiences of an issuer among which the client of the command line is: it is not that of the pages. */
export function commandLineAudiences(
  { url, audiences }: Pick<Issuer, 'url' | 'audiences'>,
  pages: SignInOptions['pages'],
): readonly string[] {
  if (pages?.issuer !== url) return audiences
  return audiences.filter((audience) => audience !== pages.clientID)
}

type MethodOptions = Partial<SignInOptions['methods'][number]>

function methodsOf(
  { methods: configured, pages }: SignInOptions,
  all: readonly Issuer[],
): readonly OidcMethod[] {
  const issuers = all.map((issuer) => ({
    ...issuer,
    audiences: commandLineAudiences(issuer, pages),
  }))
  if (configured.length > 0) {
    return configured.flatMap((options) => {
      const issuer = issuers.find(({ url }) => url === options.issuer)
      return issuer === undefined ? [] : methodOf(options.name, options, issuer)
    })
  }
  const derived = issuers.filter(({ audiences }) => audiences.length === 1)
  const names = uniqueNames(derived.map(({ url }) => nameFrom(url)))
  return derived.flatMap((issuer, i) => methodOf(names[i] ?? '', {}, issuer))
}

function methodOf(name: string, options: MethodOptions, issuer: Issuer): readonly OidcMethod[] {
  const { url, discoveryUrl, certificateAuthority } = issuer
  const clientID = clientOf(options.clientID, issuer.audiences)
  if (clientID === undefined) return []
  const { displayName, scopes, extraParameters = [], deviceAuthorization = false } = options
  const { publishedClientSecret: clientSecret } = options
  return [
    {
      name,
      type: 'oidc',
      ...(displayName === undefined ? {} : { displayName }),
      issuer: url,
      ...(discoveryUrl === undefined ? {} : { discoveryURL: discoveryUrl }),
      ...(certificateAuthority === undefined ? {} : { certificateAuthority }),
      clientID,
      ...(clientSecret === undefined ? {} : { clientSecret }),
      scopes: scopes === undefined ? ['openid'] : [...new Set(['openid', ...scopes])],
      // Without offline_access there may be no refresh token, and every sign-in would end with its ID token.
      optionalScopes: scopes === undefined ? ['offline_access', ...derivedScopes(issuer)] : [],
      extraParameters: Object.fromEntries(extraParameters.map((one) => [one.name, one.value])),
      redirectURIs: options.redirectURIs ?? DEFAULT_REDIRECT_URIS,
      deviceAuthorization,
      ...bindingOf(options),
    },
  ]
}

function bindingOf({ boundTokens = 'none' }: MethodOptions): Pick<OidcMethod, 'boundTokens'> {
  return boundTokens === 'none' ? {} : { boundTokens }
}

/** Undefined when it is not an audience, or when one of several would have to be guessed. */
function clientOf(clientID: string | undefined, audiences: readonly string[]): string | undefined {
  const chosen = clientID ?? (audiences.length === 1 ? audiences[0] : undefined)
  return chosen !== undefined && audiences.includes(chosen) ? chosen : undefined
}

/** As the default of `signIn.methods[].redirectURIs`; kubelogin's. */
const DEFAULT_REDIRECT_URIS = ['http://localhost:8000', 'http://localhost:18000']

/** A name for `--method` from the last part of an issuer's path, or its host. */
function nameFrom(url: string): string {
  const { hostname = '', pathname = '' } = URL.parse(url) ?? {}
  const part = pathname.split('/').findLast((segment) => segment !== '') ?? hostname
  const name = part
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 48)
    .replaceAll(/^-+|-+$/g, '')
  return name === '' ? 'oidc' : name
}

function uniqueNames(names: readonly string[]): readonly string[] {
  return names.map((name, i) => (names.indexOf(name) === i ? name : `${name}-${i + 1}`))
}
