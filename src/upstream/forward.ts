/**
 * Sends what was authorized upstream, with the user's identity and Gatehouse's credential, over the
 * way that fits: pool for short requests, HTTP/2 sessions for long reads, a connection of its own
 * for upgrades.
 */
import type { Authorized } from '../authorization/authorizer.ts'
import type { UpstreamCredential } from '../cluster/credential.ts'
import type { ConnectionLimits } from '../cluster/endpoint.ts'
import type { Exchange, RawHeaders } from '../http/exchange.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { isConnect, isLongRunning } from '../request/long-running.ts'
import type { Target } from '../request/types.ts'
import { StatusError } from '../status.ts'
import { createUpstreamFailures, type UpstreamFailures } from './failures.ts'
import { upstreamHeaders } from './headers.ts'
import { createIdentityWriter, type IdentityNames } from './identity.ts'
import type { ForwardOutcome } from './outcome.ts'
import { createPoolTransport } from './pool.ts'
import { Relay } from './relay.ts'
import { createRequestBody } from './request-body.ts'
import { createSessionsTransport } from './sessions.ts'
import { createStalls, type Stalls } from './stalls.ts'
import type { Transport } from './transport.ts'
import { parseHandshake } from './upgrade-handshake.ts'
import { forwardUpgrade } from './upgrade.ts'

export interface ForwardOptions {
  readonly exchange: Exchange
  readonly authorized: Authorized
  readonly target: Target
  readonly auditID: string
  /** Gatehouse's own response headers. */
  readonly ownHeaders: RawHeaders
  /** Response head written (101 included). */
  readonly onHead: (status: number) => void
  /** Told how to break the stream off, for shutdown and revocation. */
  readonly onCut?: (cut: (reason: StatusError) => void) => void
}

export interface Upstream {
  /**
   * Resolves when the exchange is over.
   *
   * @throws StatusError while nothing has been sent to the client
   */
  forward(options: ForwardOptions): Promise<ForwardOutcome>
  /**
   * New requests use this credential; the connections of the old one end as they come free. Before
   * the first call every request is refused.
   */
  updateCredential(credential: UpstreamCredential): void
  /** How users are asserted; for the audit record. */
  readonly identityMode: IdentityNames['mode']
  close(): Promise<void>
  destroy(): Promise<void>
}

export interface UpstreamOptions {
  readonly identity: IdentityNames
  readonly limits: ConnectionLimits
}

export interface UpstreamEffects {
  readonly log: Log
  readonly metrics: Metrics
}

interface Ways {
  readonly credential: UpstreamCredential
  readonly short: Transport
  readonly longHttp1: Transport
  readonly long: Transport
}

const NO_CREDENTIAL = 'Gatehouse has not loaded its credential for the API server yet'

/** Makes the upstream; connections open with the first request. */
export function createUpstream(options: UpstreamOptions, effects: UpstreamEffects): Upstream {
  const { identity, limits } = options
  const writeIdentity = createIdentityWriter(identity)
  const identityNames =
    identity.mode === 'impersonation'
      ? []
      : [identity.user, identity.group, identity.uid, identity.extraPrefix]
  let ways: Ways | undefined
  const stalls = createStalls(limits.stallTimeout)

  const headersFor = (forward: ForwardOptions, { credential }: Ways): string[] => {
    const { request } = forward.exchange
    return upstreamHeaders({
      rawHeaders: request.rawHeaders,
      identity: writeIdentity(forward.authorized.user),
      identityNames,
      authorization: credential.token === undefined ? undefined : `Bearer ${credential.token}`,
      host: credential.endpoint.host,
      auditID: forward.auditID,
      forwardedFor: request.connection.remoteAddress,
    })
  }

  const failures = createUpstreamFailures(effects)
  const count = (error: unknown): never => {
    failures.unanswered(error)
    throw error
  }

  return {
    forward(forward) {
      const way = ways
      if (way === undefined) throw new StatusError('ServiceUnavailable', NO_CREDENTIAL)
      const headers = headersFor(forward, way)
      try {
        const work: Promise<ForwardOutcome> = forward.exchange.request.isUpgrade
          ? upgrade(forward, way, headers, limits)
          : relay(forward, way, headers, { stalls, failures })
        return work.catch(count)
      } catch (error) {
        // A transport that takes no more says so at once.
        return count(error)
      }
    },
    updateCredential(credential) {
      const old = ways
      ways = openWays(credential, limits, effects.log)
      if (old !== undefined) void closeWays(old)
    },
    identityMode: identity.mode,
    async close() {
      if (ways !== undefined) await closeWays(ways)
      stalls.close()
    },
    async destroy() {
      stalls.close()
      if (ways === undefined) return
      await Promise.all([ways.short.destroy(), ways.longHttp1.destroy(), ways.long.destroy()])
    },
  }
}

function openWays(credential: UpstreamCredential, limits: ConnectionLimits, log: Log): Ways {
  const { endpoint } = credential
  const longHttp1 = createPoolTransport({ endpoint, limits, maxConnections: null })
  return {
    credential,
    short: createPoolTransport({ endpoint, limits, maxConnections: limits.maxConnections }),
    longHttp1,
    long: createSessionsTransport({ endpoint, limits, log, fallback: longHttp1 }),
  }
}

async function closeWays(ways: Ways): Promise<void> {
  await Promise.all([ways.short.close(), ways.long.close()])
  await ways.longHttp1.close()
}

function relay(
  forward: ForwardOptions,
  ways: Ways,
  headers: readonly string[],
  { stalls, failures }: { readonly stalls: Stalls; readonly failures: UpstreamFailures },
): Promise<ForwardOutcome> {
  const { exchange, authorized, target } = forward
  const { request } = exchange
  const longRunning = isLongRunning(authorized.info)
  const receiver = new Relay({
    exchange,
    ownHeaders: forward.ownHeaders,
    isLongRunning: longRunning,
    isConnect: isConnect(authorized.info),
    onHead: forward.onHead,
    onBrokenOff: failures.brokenOff,
    stalls: longRunning ? undefined : stalls,
  })
  if (request.hasBody) {
    receiver.body = createRequestBody(exchange, (error) => receiver.clientGone(error))
  }
  forward.onCut?.((reason) => receiver.cut(reason))
  const transport = longRunning ? (request.hasBody ? ways.longHttp1 : ways.long) : ways.short
  transport.send(
    {
      method: request.method,
      path: target.raw,
      headers,
      contentLength: request.contentLength,
      body: receiver.body,
      isLongRunning: longRunning,
    },
    receiver,
  )
  return receiver.done
}

async function upgrade(
  forward: ForwardOptions,
  ways: Ways,
  headers: readonly string[],
  limits: ConnectionLimits,
): Promise<ForwardOutcome> {
  const { exchange, authorized, target } = forward
  return forwardUpgrade({
    exchange,
    endpoint: ways.credential.endpoint,
    limits,
    path: target.raw,
    handshake: parseHandshake(
      exchange.request.method,
      exchange.request.rawHeaders,
      authorized.info,
    ),
    headers,
    ownHeaders: forward.ownHeaders,
    isConnect: isConnect(authorized.info),
    onHead: forward.onHead,
    onCut: forward.onCut,
  })
}
