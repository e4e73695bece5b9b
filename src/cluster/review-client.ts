/**
 * Posts reviews to the API server as Gatehouse (k8s.io/api/authentication/v1, authorization/v1), over
 * keep-alive connections that carry nothing else.
 */
import { Agent } from 'node:https'

import { BodyTooLong, readBody, sendHttps } from '../https-request.ts'
import type { StacklessError } from '../log.ts'
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
  /**
   * Reads the object at a path as Gatehouse, under the same conditions.
   *
   * @throws ReviewError as above
   */
  get(path: string): Promise<ReviewResponse>
  /** The CAs that the certificate of the API server is verified with, PEM. */
  authorities(): string
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

/** Why there is no usable response. */
export type ReviewErrorKind = 'timeout' | 'connection' | 'response'

/** There is no usable response. */
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
  readonly authenticated: Agent
  readonly anonymous: Agent
  /** Calls under way. */
  calls: number
  /** Called at the end of the last call, once nothing uses them any more. */
  onUnused: (() => void) | undefined
}

interface Call extends Pick<ReviewRequest, 'as'> {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** JSON. */
  readonly body?: string
}

/** Creates the client; connections open with the first calls. */
export function createReviewClient(options: ReviewClientOptions): ReviewClient {
  const { timeout } = options
  let connections = open(options.credential, options)
  let closed: Promise<void> | undefined

  function exchange(request: ReviewRequest, signal: AbortSignal): Promise<ReviewResponse> {
    const [apiVersion, resource] = REVIEWS[request.kind]
    const body = JSON.stringify({ apiVersion, kind: request.kind, spec: request.spec })
    return send(
      { method: 'POST', path: `/apis/${apiVersion}/${resource}`, as: request.as, body },
      signal,
    )
  }

  async function send(call: Call, signal: AbortSignal): Promise<ReviewResponse> {
    if (closed !== undefined) throw new Error('the client is closed')
    const used = connections
    const { credential, authenticated, anonymous } = used
    const { method, path, as, body } = call
    used.calls += 1
    try {
      const response = await sendHttps(
        {
          host: credential.endpoint.hostname,
          port: credential.endpoint.port,
          method,
          path,
          headers: headersOf(call, credential),
          setHost: false,
          agent: as === 'anonymous' ? anonymous : authenticated,
          signal,
        },
        body,
      )
      const status = response.statusCode ?? 0
      return { status, body: parse(status, await readBody(response, MAX_RESPONSE_BYTES)) }
    } finally {
      used.calls -= 1
      if (used.calls === 0) used.onUnused?.()
    }
  }

  async function inTime(
    call: (signal: AbortSignal) => Promise<ReviewResponse>,
  ): Promise<ReviewResponse> {
    const signal = AbortSignal.timeout(timeout)
    try {
      return await call(signal).catch((error: unknown) => {
        // An idle connection may close at the very time that it is used. No call changes anything.
        if (signal.aborted || !isReset(error)) throw error
        return call(signal)
      })
    } catch (error) {
      if (signal.aborted) throw new ReviewError('timeout', `no response within ${timeout} ms`)
      throw asReviewError(error)
    }
  }

  return {
    post: (request) => inTime((signal) => exchange(request, signal)),
    get: (path) => inTime((signal) => send({ method: 'GET', path, as: 'gatehouse' }, signal)),
    authorities: () => connections.credential.endpoint.tls.ca,
    updateCredential(credential) {
      if (closed !== undefined || credential === connections.credential) return
      const earlier = connections
      connections = open(credential, options)
      void close(earlier)
    },
    close: () => (closed ??= close(connections)),
  }
}

function open(credential: UpstreamCredential, { idleTimeout }: ReviewClientOptions): Connections {
  const agent = (withCredential: boolean): Agent =>
    new Agent({
      ...tlsOptions(credential.endpoint.tls, { withCredential }),
      keepAlive: true,
      maxSockets: MAX_CONNECTIONS,
      timeout: idleTimeout,
      // A resumed session would keep its client certificate.
      maxCachedSessions: 0,
    })
  return {
    credential,
    authenticated: agent(true),
    anonymous: agent(false),
    calls: 0,
    onUnused: undefined,
  }
}

/** Resolves when the calls under way have ended, and the connections are closed. */
function close(connections: Connections): Promise<void> {
  return new Promise((resolve) => {
    connections.onUnused = () => {
      connections.authenticated.destroy()
      connections.anonymous.destroy()
      resolve()
    }
    if (connections.calls === 0) connections.onUnused()
  })
}

function headersOf({ as, body }: Call, { endpoint, token }: UpstreamCredential): string[] {
  const headers = ['host', endpoint.host, 'accept', 'application/json']
  if (body !== undefined) {
    headers.push('content-type', 'application/json')
    headers.push('content-length', String(Buffer.byteLength(body)))
  }
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
  return code === 'ECONNRESET' || code === 'EPIPE'
}

function asReviewError(error: unknown): ReviewError {
  if (error instanceof ReviewError) return error
  const { message } = error as Error
  if (error instanceof BodyTooLong) {
    return new ReviewError('response', `the response is larger than ${MAX_RESPONSE_BYTES} bytes`)
  }
  const { code } = errorOrigin(error)
  return new ReviewError('connection', message, code === '' ? undefined : code)
}
