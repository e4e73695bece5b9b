/**
 * Posts reviews to the API server as Gatehouse (k8s.io/api/authentication/v1, authorization/v1), over
 * keep-alive connections that carry nothing else.
 */
import type { Log, StacklessError } from '../log.ts'
import { buildConnector, Pool, post } from '../undici.ts'
import type { UpstreamCredential } from './credential.ts'
import { errorOrigin } from './error-origin.ts'
import { tlsOptions } from './tls-options.ts'

const REVIEWS = {
  TokenReview: ['authentication.k8s.io/v1', 'tokenreviews'],
  SelfSubjectReview: ['authentication.k8s.io/v1', 'selfsubjectreviews'],
  SubjectAccessReview: ['authorization.k8s.io/v1', 'subjectaccessreviews'],
} as const

export type ReviewKind = keyof typeof REVIEWS

export interface ReviewRequest {
  readonly kind: ReviewKind
  /** Undefined for SelfSubjectReview, which does not have one. */
  readonly spec?: Readonly<Record<string, unknown>>
  /**
   * Who asks: Gatehouse itself, a user whom it asserts by these headers (name, value pairs), or an
   * unauthenticated client, over a connection without a client certificate.
   */
  readonly as: 'gatehouse' | 'anonymous' | { readonly identityHeaders: readonly string[] }
}

export interface ReviewResponse {
  readonly status: number
  /** The parsed object; empty when a response with a status other than 2xx is not a JSON object. */
  readonly body: Readonly<Record<string, unknown>>
}

export interface ReviewClient {
  /**
   * Resolves with the response, whatever its status; redirects are not followed.
   *
   * @throws ReviewError when there is no response in time, or not a usable one
   */
  post(request: ReviewRequest): Promise<ReviewResponse>
  /** New calls use this credential; the earlier one's connections close after their calls. */
  updateCredential(credential: UpstreamCredential): void
  /** Resolves when the calls under way have ended; later calls reject. */
  close(): Promise<void>
}

export interface ReviewClientOptions {
  readonly credential: UpstreamCredential
  /** Milliseconds for a whole call, connecting included. */
  readonly timeout: number
  /** Milliseconds after which an unused connection closes. */
  readonly idleTimeout: number
}

export interface ReviewClientEffects {
  readonly log: Log
}

/** Why there is no usable response. */
export type ReviewErrorKind = 'timeout' | 'connection' | 'response'

export class ReviewError extends Error implements StacklessError {
  readonly kind: ReviewErrorKind
  /** Code of the underlying error (`ECONNREFUSED`, `CERT_HAS_EXPIRED`…); undefined without one. */
  readonly code: string | undefined
  readonly needsNoStack = true

  constructor(kind: ReviewErrorKind, message: string, code?: string) {
    super(message)
    this.name = 'ReviewError'
    this.kind = kind
    this.code = code
  }
}

/** Connections of each kind; further calls wait for one, within their timeout. */
const MAX_CONNECTIONS = 16
const MAX_RESPONSE_BYTES = 65_536

interface Connections {
  readonly credential: UpstreamCredential
  readonly authenticated: Pool
  readonly anonymous: Pool
}

/** Creates the client; connections open with the first calls. */
export function createReviewClient(
  options: ReviewClientOptions,
  { log }: ReviewClientEffects,
): ReviewClient {
  const { timeout } = options
  let connections = open(options.credential, options)
  let closed: Promise<void> | undefined

  async function exchange(request: ReviewRequest, signal: AbortSignal): Promise<ReviewResponse> {
    const { credential, authenticated, anonymous } = connections
    const [apiVersion, resource] = REVIEWS[request.kind]
    const { statusCode, body } = await post(`/apis/${apiVersion}/${resource}`, {
      dispatcher: request.as === 'anonymous' ? anonymous : authenticated,
      headers: headersOf(request, credential),
      body: JSON.stringify({ apiVersion, kind: request.kind, spec: request.spec }),
      signal,
    })
    return { status: statusCode, body: parse(statusCode, await body.bytes()) }
  }

  return {
    async post(request) {
      const signal = AbortSignal.timeout(timeout)
      try {
        return await exchange(request, signal).catch((error: unknown) => {
          // An idle connection may close at the very time that it is used. A review changes nothing.
          if (signal.aborted || !isReset(error)) throw error
          return exchange(request, signal)
        })
      } catch (error) {
        if (signal.aborted) throw new ReviewError('timeout', `no response within ${timeout} ms`)
        throw asReviewError(error)
      }
    },
    updateCredential(credential) {
      if (closed !== undefined || credential === connections.credential) return
      const earlier = connections
      connections = open(credential, options)
      close(earlier).catch((error: unknown) => {
        log.debug({ err: error }, 'connections with an earlier credential did not close')
      })
    },
    close: () => (closed ??= close(connections)),
  }
}

function open(
  credential: UpstreamCredential,
  { timeout, idleTimeout }: ReviewClientOptions,
): Connections {
  const { endpoint } = credential
  // A connector each: it keeps TLS sessions, and a resumed one keeps its client certificate.
  const pool = (withCredential: boolean): Pool =>
    new Pool(`https://${endpoint.host}`, {
      connections: MAX_CONNECTIONS,
      pipelining: 1,
      allowH2: false,
      maxResponseSize: MAX_RESPONSE_BYTES,
      keepAliveTimeout: idleTimeout,
      keepAliveMaxTimeout: idleTimeout,
      connect: buildConnector({
        ...tlsOptions(endpoint.tls, { withCredential }),
        timeout,
        allowH2: false,
      }),
    })
  return { credential, authenticated: pool(true), anonymous: pool(false) }
}

async function close({ authenticated, anonymous }: Connections): Promise<void> {
  await Promise.all([authenticated.close(), anonymous.close()])
}

function headersOf({ as }: ReviewRequest, { endpoint, token }: UpstreamCredential): string[] {
  const headers = ['host', endpoint.host, 'content-type', 'application/json']
  headers.push('accept', 'application/json')
  if (as === 'anonymous') return headers
  if (token !== undefined) headers.push('authorization', `Bearer ${token}`)
  if (as !== 'gatehouse') headers.push(...as.identityHeaders)
  return headers
}

const decoder = new TextDecoder('utf-8', { fatal: true })

function parse(status: number, bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value = JSON.parse(decoder.decode(bytes)) as unknown
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Readonly<Record<string, unknown>>
    }
  } catch {
    // Treated like JSON that is not an object.
  }
  if (status < 200 || status > 299) return {}
  throw new ReviewError('response', `the response (status ${status}) is not a JSON object`)
}

/** `message` of a `metav1.Status`, shortened. */
export function statusMessage({ body }: ReviewResponse): string {
  const { message } = body
  return typeof message === 'string' ? message.slice(0, 500) : 'no reason given'
}

function isReset(error: unknown): boolean {
  const { code } = errorOrigin(error)
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE'
}

function asReviewError(error: unknown): ReviewError {
  if (error instanceof ReviewError) return error
  const { code } = errorOrigin(error)
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') {
    return new ReviewError('response', `the response is larger than ${MAX_RESPONSE_BYTES} bytes`)
  }
  const { message } = error as Error
  // undici's code for a closed socket says less than its message.
  const hasCode = code !== '' && code !== 'UND_ERR_SOCKET'
  return new ReviewError('connection', message, hasCode ? code : undefined)
}
