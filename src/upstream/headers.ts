/**
 * The only writer of upstream request headers: strips the client's, asserts the identity last, then
 * checks that exactly that identity is present (CVE-2021-31999, CVE-2021-36776).
 */
import type { RawHeaders } from '../http/exchange.ts'
import { StatusError } from '../status.ts'

/** RFC 9110 section 7.6.1, and fields that servers treat as hop-by-hop by convention. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
])

/** Fields that Gatehouse writes itself, credentials, and statements about the client that only a proxy may make. */
const RESERVED: ReadonlySet<string> = new Set([
  'authorization',
  'audit-id',
  'client-cert',
  'client-cert-chain',
  'content-length',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'true-client-ip',
  'via',
  'x-client-cert',
  'x-real-ip',
  'x-ssl-client-cert',
])

const RESERVED_PREFIXES = ['impersonate-', 'x-remote-', 'x-forwarded-', 'x-original-', 'proxy-']

/** Fields that kubectl and client-go send with every request; forwarded without further checks. */
const HARMLESS: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'content-type',
  'kubectl-command',
  'kubectl-session',
  'user-agent',
])

export interface UpstreamHeaderOptions {
  /** The client's header fields, as received. */
  readonly rawHeaders: RawHeaders
  /** From `identity.ts`; the first pair is the user. */
  readonly identity: RawHeaders
  /** Lower-case names or prefixes (with trailing `-`) that carry identity in the mode in use. */
  readonly identityNames: readonly string[]
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
  const { rawHeaders, identity, identityNames } = options
  const dropped = connectionOptions(rawHeaders)
  const headers: string[] = ['host', options.host]
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase()
    if (dropped?.has(name) === true) continue
    if (!HARMLESS.has(name) && !isForwarded(name, identityNames)) continue
    if (isHandshakeField(name)) continue
    headers.push(name, rawHeaders[i + 1] ?? '')
  }
  headers.push('audit-id', options.auditID, 'x-forwarded-for', options.forwardedFor)
  if (options.authorization !== undefined) headers.push('authorization', options.authorization)
  for (const part of identity) headers.push(part)
  assertIdentity(headers, options)
  return headers
}

/** Other fields that the client's `Connection` header declares hop-by-hop; undefined when none. */
function connectionOptions(rawHeaders: RawHeaders): Set<string> | undefined {
  let options: Set<string> | undefined
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if ((rawHeaders[i] ?? '').toLowerCase() !== 'connection') continue
    for (const option of (rawHeaders[i + 1] ?? '').toLowerCase().split(',')) {
      const name = option.trim()
      if (name !== '' && name !== 'close' && !HOP_BY_HOP.has(name))
        (options ??= new Set()).add(name)
    }
  }
  return options
}

function isForwarded(name: string, identityNames: readonly string[]): boolean {
  // Some readers treat `_` and `-` as the same character (CGI).
  const folded = name.includes('_') ? name.replaceAll('_', '-') : name
  return !(
    name === '' ||
    HOP_BY_HOP.has(folded) ||
    RESERVED.has(folded) ||
    RESERVED_PREFIXES.some((prefix) => folded.startsWith(prefix)) ||
    carriesIdentity(folded, identityNames)
  )
}

function carriesIdentity(name: string, identityNames: readonly string[]): boolean {
  return identityNames.some((known) =>
    known.endsWith('-') ? name.startsWith(known) : name === known,
  )
}

/** `upgrade-handshake.ts` writes these for an upgrade; one of them may carry the client's token. */
function isHandshakeField(name: string): boolean {
  return name.startsWith('sec-websocket-') || name === 'x-stream-protocol-version'
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
