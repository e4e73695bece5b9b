/** `POST /gatehouse/api/v1/certificates`: exchanges a sign-in for a short-lived client certificate. */
import type { AuditRecord } from '../audit/record.ts'
import type { Authentication } from '../authentication/authenticator.ts'
import { unauthorized } from '../authentication/bearer.ts'
import { claimedUser } from '../authentication/stated-identity.ts'
import { isJsonObject, ownMember, parseJsonObject } from '../authentication/oidc/strict-json.ts'
import type { ClientConnection, Exchange } from '../http/exchange.ts'
import { rateLimitHeaders } from '../limits/headers.ts'
import type { IssuedCertificate } from '../issuance/certificate-issuer.ts'
import type { CertificateService } from '../issuance/certificate-service.ts'
import { refuseLocked } from '../locks/locks.ts'
import type { OriginPolicy } from '../pipeline/cross-site.ts'
import type { FailureGuard } from '../pipeline/failed-sign-ins.ts'
import type { Frame, Handled, Handler, Observed } from '../pipeline/frame.ts'
import { StatusError } from '../status.ts'
import { identify, type ApiStages } from './identify.ts'
import { recordChange, respond } from './own-response.ts'
import { readBody } from './read-body.ts'

export interface CertificatesOptions {
  readonly stages: ApiStages
  /** Undefined: Gatehouse issues no certificates. */
  readonly service: CertificateService | undefined
  /** Counts passwords that a directory rejects. */
  readonly refuse: FailureGuard['refuse']
  readonly ownHeaders: Frame['ownHeaders']
  readonly originPolicy: OriginPolicy
}

/** A day; the configuration allows no longer one either. */
const MAX_LIFETIME_SECONDS = 86_400

/** Creates the handler. It takes the credentials of the Kubernetes API, of which only tokens are of use. */
export function createCertificates(options: CertificatesOptions): Handler {
  const { stages, service, ownHeaders } = options
  return async (exchange: Exchange, record: AuditRecord, observed: Observed): Promise<Handled> => {
    const { connection, method } = exchange.request
    observed.verb = method.toLowerCase()
    requirePost(exchange)
    if (service === undefined) {
      throw new StatusError(
        'NotFound',
        'this Gatehouse does not issue certificates: ask your Gatehouse administrator',
        { closeConnection: true },
      )
    }
    // Without a credential, a password may be in the body.
    let early: Order | undefined
    const authentication = await identify(exchange, record, options, async () => {
      if (service.directories.size > 0) {
        refuseBrowser(exchange)
        early = parseOrder(await readBody(exchange))
      }
      return signInAt(options.refuse, service, early, connection)
    })
    observed.requestClass = 'write'
    const slot = await stages.limiter.admitUser(authentication.user, 'write')
    try {
      record.admitted()
      const order = early ?? parseOrder(await readBody(exchange))
      if (early === undefined && order.password !== undefined) {
        throw invalid('has a password, and the request a token: send only one of them')
      }
      const { request, lifetime } = order
      await recordChange(record)
      const issued = await service.issuer.issue({ authentication, request, lifetime })
      // A lock may have come while it was made.
      refuseLocked(stages.locks, authentication, connection)
      record.issued(issued)
      return await respond(exchange, record, ownHeaders, {
        code: 201,
        headers: [
          ...['Content-Type', 'application/json', 'Cache-Control', 'no-store'],
          ...(slot.state === undefined ? [] : rateLimitHeaders(slot.state)),
        ],
        body: `${JSON.stringify(responseOf(issued))}\n`,
      })
    } finally {
      slot.release()
    }
  }
}

/**
 * A page of any site can have its visitors' browsers send forms of text here: they would try passwords from
 * many addresses, and lock users out. Browsers name the origin with every POST (W3C Fetch section 3.2).
 *
 * @throws StatusError 403
 */
function refuseBrowser(exchange: Exchange): void {
  if (exchange.header('origin') === undefined && exchange.header('sec-fetch-site') === undefined)
    return
  throw new StatusError(
    'Forbidden',
    'a password is not taken from a page in a browser: run gatehouse login URL --certificate',
    { closeConnection: true },
  )
}

/** @throws StatusError 401 without a password, or as the directory has it */
async function signInAt(
  refuse: CertificatesOptions['refuse'],
  { directories }: CertificateService,
  order: Order | undefined,
  connection: ClientConnection,
): Promise<Authentication> {
  const { password } = order ?? {}
  if (password === undefined) throw unauthorized('no credential', { closeConnection: true })
  const signIn = directories.get(password.directory)
  if (signIn === undefined) throw invalid('names a directory that is not configured')
  const { directory, username } = password
  try {
    return await signIn(username, password.password, connection.remoteAddress)
  } catch (error) {
    if (!(error instanceof StatusError) || error.code !== 401) throw error
    return refuse(connection, claimedUser('ldap', directory, username.toLowerCase()), error)
  }
}

function responseOf({ pem, serial, notAfter }: IssuedCertificate): object {
  return {
    apiVersion: 'gatehouse/v1',
    kind: 'IssuedCertificate',
    certificate: pem,
    serial,
    notAfter: new Date(notAfter).toISOString(),
  }
}

/** @throws StatusError 400 or 405 */
function requirePost({ request }: Exchange): void {
  if (request.method !== 'POST') {
    throw new StatusError('MethodNotAllowed', `${request.method} is not allowed here: use POST`, {
      headers: { Allow: 'POST' },
      closeConnection: request.hasBody,
    })
  }
  if (request.isUpgrade) {
    throw new StatusError('BadRequest', 'a request for this path must not have an upgrade', {
      closeConnection: true,
    })
  }
}

interface Order {
  readonly request: string
  /** Milliseconds. */
  readonly lifetime: number | undefined
  /** Of a user of a directory, in place of a token. */
  readonly password: PasswordSignIn | undefined
}

interface PasswordSignIn {
  readonly directory: string
  readonly username: string
  readonly password: string
}

/**
 * Parses a request such as `{"apiVersion":"gatehouse/v1","kind":"CertificateOrder","request":"-----BEGIN
 * CERTIFICATE REQUEST…","lifetimeSeconds":900}`.
 *
 * @throws StatusError 400
 */
function parseOrder(body: Uint8Array): Order {
  const fields = parsed(body)
  if (
    ownMember(fields, 'apiVersion') !== 'gatehouse/v1' ||
    ownMember(fields, 'kind') !== 'CertificateOrder'
  ) {
    throw invalid('is not a CertificateOrder of gatehouse/v1')
  }
  const request = ownMember(fields, 'request')
  if (typeof request !== 'string') throw invalid('has no request, a PKCS #10 request in PEM')
  const password = passwordOf(ownMember(fields, 'signIn'))
  const seconds = ownMember(fields, 'lifetimeSeconds')
  if (seconds === undefined) return { request, lifetime: undefined, password }
  if (!isLifetime(seconds)) {
    throw invalid(
      `has a lifetimeSeconds that is not a whole number from 60 to ${MAX_LIFETIME_SECONDS}`,
    )
  }
  return { request, lifetime: seconds * 1_000, password }
}

function passwordOf(signIn: unknown): PasswordSignIn | undefined {
  if (signIn === undefined) return undefined
  const [directory, username, password] = ['method', 'username', 'password'].map((name) =>
    isJsonObject(signIn) ? ownMember(signIn, name) : undefined,
  )
  if (
    typeof directory !== 'string' ||
    typeof username !== 'string' ||
    typeof password !== 'string'
  ) {
    throw invalid('has a signIn without method, username and password')
  }
  return { directory, username, password }
}

function isLifetime(value: unknown): value is number {
  return (
    typeof value === 'number' &&
    Number.isInteger(value) &&
    value >= 60 &&
    value <= MAX_LIFETIME_SECONDS
  )
}

function parsed(body: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value = parseJsonObject(body)
    if (isJsonObject(value)) return value
  } catch {
    // Said below.
  }
  throw invalid('is not a JSON object')
}

function invalid(problem: string): StatusError {
  return new StatusError('BadRequest', `the request body ${problem}`)
}
