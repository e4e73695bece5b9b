/**
 * Forwards authorized requests with the user's identity and Gatehouse's credential: short requests over
 * the pool, long reads over HTTP/2 sessions, upgrades over a connection each.
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
import { createClientWindows, type ClientWindow } from './client-window.ts'
import type { QueueLimits } from './fair-queue.ts'
import { createUpstreamFailures, type UpstreamFailures } from './failures.ts'
import type { ForwardRecord } from './forward-record.ts'
import { upstreamHeaders } from './headers.ts'
import type { IdentityGate } from './identity-gate.ts'
import { createIdentityWriter, type IdentityNames } from './identity.ts'
import type { ForwardOutcome } from './outcome.ts'
import { createSlabs } from './http1/slabs.ts'
import { createTurnEnd } from './http1/turn-end.ts'
import { Relay } from './relay.ts'
import { createRequestBody } from './request-body.ts'
import { createStalls, type Stalls } from './stalls.ts'
import { closeTransports, openTransports, type Transports } from './transports.ts'
import { parseHandshake } from './upgrade-handshake.ts'
import type { TunnelEffects } from './tunnel-side.ts'
import { forwardUpgrade } from './upgrade.ts'

export interface ForwardOptions {
  readonly exchange: Exchange
  readonly authorized: Authorized
  readonly target: Target
  readonly auditID: string
  /** Gatehouse's own response headers. */
  readonly ownHeaders: RawHeaders
  readonly record: ForwardRecord
  /** Called with a function that ends the exchange, for shutdown and reloads. */
  readonly onCut?: (cut: (reason: StatusError) => void) => void
}

export interface Upstream {
  /**
   * Resolves when the exchange has ended.
   *
   * @throws StatusError as long as nothing was sent to the client
   */
  forward(options: ForwardOptions): Promise<ForwardOutcome>
  /**
   * New requests use this credential; connections with the earlier one close after their requests.
   * Before the first call every request is refused.
   */
  updateCredential(credential: UpstreamCredential): void
  /** Takes no new requests; resolves when those in flight have ended. */
  close(): Promise<void>
  /** Aborts the requests in flight. */
  destroy(): Promise<void>
}

export interface UpstreamOptions {
  readonly identity: IdentityNames
  readonly limits: ConnectionLimits
  readonly queue: QueueLimits
  /** Names of request headers that are forwarded besides those in `headers.ts`. */
  readonly additionalHeaders: readonly string[]
}

export interface UpstreamEffects {
  readonly log: Log
  readonly metrics: Metrics
  readonly identityGate: Pick<IdentityGate, 'check'>
}

const NO_CREDENTIAL = 'Gatehouse has not loaded its credential for the API server yet'

/** Creates the upstream; connections open with the first request. */
export function createUpstream(options: UpstreamOptions, effects: UpstreamEffects): Upstream {
  const { identity, limits } = options
  const { bodyTimeout } = limits
  const writeIdentity = createIdentityWriter(identity)
  const identityNames =
    identity.mode === 'impersonation'
      ? []
      : [identity.user, identity.group, identity.uid, identity.extraPrefix]
  const additionalNames = new Set(options.additionalHeaders.map((name) => name.toLowerCase()))
  const openWindow = createClientWindows()
  const slabs = createSlabs()
  const atTurnEnd = createTurnEnd()
  let transports: Transports | undefined
  const stalls = createStalls(
    { timeout: limits.stallTimeout },
    { onStallFailed: (err) => effects.log.error({ err }, 'a request could not be ended') },
  )

  const headersFor = (forward: ForwardOptions, { credential }: Transports): string[] => {
    const { request } = forward.exchange
    return upstreamHeaders({
      rawHeaders: request.rawHeaders,
      identity: writeIdentity(forward.authorized.user),
      identityNames,
      additionalNames,
      authorization: credential.token === undefined ? undefined : `Bearer ${credential.token}`,
      host: credential.endpoint.host,
      auditID: forward.auditID,
      forwardedFor: request.connection.remoteAddress,
    })
  }

  const failures = createUpstreamFailures(effects)
  const recordAndThrow = (error: unknown): never => {
    failures.failed(error)
    throw error
  }

  return {
    forward(forward) {
      // A reload replaces `transports`; one request uses one credential.
      const current = transports
      if (current === undefined) throw new StatusError('ServiceUnavailable', NO_CREDENTIAL)
      try {
        effects.identityGate.check()
        const headers = headersFor(forward, current)
        return forward.exchange.request.isUpgrade
          ? upgrade(forward, current, headers, {
              limits,
              identityMode: identity.mode,
              tunnels: { slabs, atTurnEnd, openWindow },
            }).catch(recordAndThrow)
          : relay(forward, current, headers, {
              stalls,
              openWindow,
              failures,
              bodyTimeout,
              identityMode: identity.mode,
            })
      } catch (error) {
        // A transport whose queue is full throws at once, and so does the gate.
        return recordAndThrow(error)
      }
    },
    updateCredential(credential) {
      const earlier = transports
      transports = openTransports(credential, options, { ...effects, slabs, atTurnEnd })
      if (earlier !== undefined) void closeTransports(earlier)
    },
    async close() {
      if (transports !== undefined) await closeTransports(transports)
      stalls.close()
    },
    async destroy() {
      stalls.close()
      if (transports === undefined) return
      const { short, longHttp1, long } = transports
      await Promise.all([short.destroy(), longHttp1.destroy(), long.destroy()])
    },
  }
}

function relay(
  forward: ForwardOptions,
  transports: Transports,
  headers: readonly string[],
  {
    stalls,
    openWindow,
    failures,
    bodyTimeout,
    identityMode,
  }: {
    readonly stalls: Stalls
    readonly openWindow: () => ClientWindow
    readonly failures: UpstreamFailures
    readonly bodyTimeout: number
    readonly identityMode: IdentityNames['mode']
  },
): Promise<ForwardOutcome> {
  const { exchange, authorized, target } = forward
  const { request } = exchange
  const longRunning = isLongRunning(authorized.info)
  const receiver = new Relay({
    exchange,
    ownHeaders: forward.ownHeaders,
    auditID: forward.auditID,
    info: authorized.info,
    isLongRunning: longRunning,
    isConnect: isConnect(authorized.info),
    record: forward.record,
    identityMode,
    onRefused: failures.failed,
    onTruncated: failures.truncated,
    stalls: longRunning ? undefined : stalls,
    window: openWindow(),
  })
  if (request.hasBody) {
    let stopLimit: (() => void) | undefined
    receiver.body = createRequestBody(exchange, {
      onClientGone: (error) => receiver.clientGone(error),
      // Not while the request waits for its turn: nothing of the body is read then.
      onBegin: () => {
        if (!longRunning) stopLimit = limitBody(receiver, bodyTimeout)
      },
      onDone: () => stopLimit?.(),
    })
  }
  forward.onCut?.((reason) => receiver.cut(reason))
  const transport = longRunning
    ? request.hasBody
      ? transports.longHttp1
      : transports.long
    : transports.short
  transport.send(
    {
      // A user who acts as many others has one share, as with the limits.
      user: (authorized.impersonator ?? authorized.user).username,
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

/**
 * A client that sends a byte now and then never stalls, and would hold a connection of the pool.
 *
 * @returns a function to call when the body has ended
 */
function limitBody(receiver: Relay, timeout: number): () => void {
  const timer = setTimeout(() => receiver.bodyTimedOut(), timeout).unref()
  const stop = (): void => clearTimeout(timer)
  receiver.done.then(stop, stop)
  return stop
}

async function upgrade(
  forward: ForwardOptions,
  transports: Transports,
  headers: readonly string[],
  {
    limits,
    identityMode,
    tunnels,
  }: {
    readonly limits: ConnectionLimits
    readonly identityMode: IdentityNames['mode']
    readonly tunnels: TunnelEffects
  },
): Promise<ForwardOutcome> {
  const { exchange, authorized, target } = forward
  const options = {
    exchange,
    endpoint: transports.credential.endpoint,
    limits,
    path: target.raw,
    handshake: parseHandshake(
      exchange.request.method,
      exchange.request.rawHeaders,
      authorized.info,
    ),
    headers,
    ownHeaders: forward.ownHeaders,
    // What is behind a proxy subresource writes the whole head of its response to an upgrade.
    auditID: authorized.info.subresource === 'proxy' ? undefined : forward.auditID,
    info: authorized.info,
    isConnect: isConnect(authorized.info),
    record: forward.record,
    identityMode,
    onCut: forward.onCut,
  }
  return forwardUpgrade(options, tunnels)
}
