/**
 * The only writer of upstream request headers: takes those of the client that are known to be harmless,
 * asserts the identity last, then checks that exactly that identity is present (CVE-2021-31999,
 * CVE-2021-36776). Names that mean identity to some component behind cannot be listed, so everything
 * else is dropped.
 */
import { HOP_BY_HOP, isReservedHeader } from '../config/reserved-headers.ts'
import type { RawHeaders } from '../http/exchange.ts'
import { StatusError } from '../status.ts'

/** Fields that kube-apiserver, its aggregated servers or their tracing read. */
const HARMLESS: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'access-control-request-headers',
  'access-control-request-method',
  'baggage',
  'cache-control',
  'content-encoding',
  'content-language',
  'content-type',
  'kubectl-command',
  'kubectl-session',
  'origin',
  'pragma',
  'range',
  'traceparent',
  'tracestate',
  'user-agent',
  'x-requested-with',
])

const CONNECTION = 'connection'

/** Content negotiation, conditional requests and what kubectl reports about itself. */
const HARMLESS_PREFIXES = ['accept-', 'if-', 'kubectl-']

export interface UpstreamHeaderOptions {
  /** The client's header fields, as received. */
  readonly rawHeaders: RawHeaders
  /** From `identity.ts`; the first pair is the user. */
  readonly identity: RawHeaders
  /** Lower-case names or prefixes (with trailing `-`) that carry identity in the mode in use. */
  readonly identityNames: readonly string[]
  /** Lower-case names that the administrator forwards as well. */
  readonly additionalNames: ReadonlySet<string>
  /** Gatehouse's own credential; undefined with a client certificate. */
  readonly authorization: string | undefined
  /** The API server's `host[:port]`. */
  readonly host: string
  readonly auditID: string
  /** The client's address, for the API server's own audit log (`sourceIPs`). */
  readonly forwardedFor: string
}

/**
 * Builds the header fields of the upstream request, without framing (`Content-Length`, `Upgrade`),
 * which the transport writes itself. Names are lower case.
 *
 * @throws StatusError 500 when the result does not contain exactly the given identity
 */
export function upstreamHeaders(options: UpstreamHeaderOptions): string[] {
  const { rawHeaders, identity } = options
  const dropped = connectionOptions(rawHeaders)
  const headers: string[] = ['host', options.host]
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase()
    if (dropped?.has(name) === true) continue
    if (!isForwarded(name, options)) continue
    headers.push(name, rawHeaders[i + 1] ?? '')
  }
  headers.push('audit-id', options.auditID, 'x-forwarded-for', options.forwardedFor)
  if (options.authorization !== undefined) headers.push('authorization', options.authorization)
  headers.push(...identity)
  assertIdentity(headers, options)
  return headers
}

/** Other fields that the client's `Connection` header declares hop-by-hop; undefined when none. */
function connectionOptions(rawHeaders: RawHeaders): Set<string> | undefined {
  let options: Set<string> | undefined
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    if (name.length !== CONNECTION.length || name.toLowerCase() !== CONNECTION) continue
    for (const option of (rawHeaders[i + 1] ?? '').toLowerCase().split(',')) {
      const listed = option.trim()
      if (listed !== '' && listed !== 'close' && !HOP_BY_HOP.has(listed))
        (options ??= new Set()).add(listed)
    }
  }
  return options
}

function isForwarded(
  name: string,
  { identityNames, additionalNames }: UpstreamHeaderOptions,
): boolean {
  if (HARMLESS.has(name)) return true
  const isAllowed =
    additionalNames.has(name) || HARMLESS_PREFIXES.some((prefix) => name.startsWith(prefix))
  return isAllowed && !isReservedHeader(name) && !carriesIdentity(name, identityNames)
}

function carriesIdentity(name: string, identityNames: readonly string[]): boolean {
  return identityNames.some((known) =>
    known.endsWith('-') ? name.startsWith(known) : name === known,
  )
}

/** Independent of the code above: checks what is about to be sent, as Pinniped's impersonator does. */
function assertIdentity(headers: readonly string[], options: UpstreamHeaderOptions): void {
  const { identity, identityNames, authorization } = options
  let identityFields = 0
  let authorizations = 0
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? ''
    if (name === 'authorization') authorizations += 1
    else if (name.startsWith('impersonate-') || name.startsWith('x-remote-')) identityFields += 1
    else if (carriesIdentity(name, identityNames)) identityFields += 1
  }
  const user = identity[1] ?? ''
  const expected = authorization === undefined ? 0 : 1
  if (user === '' || identityFields * 2 !== identity.length || authorizations !== expected) {
    throw new StatusError('InternalError', 'the identity cannot be asserted to the API server', {
      cause: new Error('upstream headers do not contain exactly one identity'),
    })
  }
}
