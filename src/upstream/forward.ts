/**
 * Forwards authorized requests with the user's identity and Gatehouse's credential: short requests over
 * the pool, long reads over HTTP/2 sessions, upgrades over a connection each.
 */
import type { UpstreamCredential } from '../cluster/credential.ts'
import type { ConnectionLimits } from '../cluster/endpoint.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { isConnect } from '../request/long-running.ts'
import { StatusError } from '../status.ts'
import { createClientWindows } from './client-window.ts'
import type { QueueLimits } from './fair-queue.ts'
import { createUpstreamFailures } from './failures.ts'
import type { ForwardOptions } from './forward-options.ts'
import { upstreamHeaders } from './headers.ts'
import type { IdentityGate } from './identity-gate.ts'
import { createIdentityWriter, type IdentityNames } from './identity.ts'
import type { ForwardOutcome } from './outcome.ts'
import { createSlabs } from './http1/slabs.ts'
import { createTurnEnd } from './http1/turn-end.ts'
import { relayRequest } from './relay-request.ts'
import { createStalls } from './stalls.ts'
import {
  closeTransports,
  destroyTransports,
  openTransports,
  type Transports,
} from './transports.ts'
import { parseHandshake } from './upgrade-handshake.ts'
import type { TunnelEffects } from './tunnel-side.ts'
import { forwardUpgrade } from './upgrade.ts'

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
  const relayOptions = { bodyTimeout: limits.bodyTimeout, identityMode: identity.mode }
  const relayEffects = { stalls, openWindow, failures }
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
          : relayRequest(forward, current, headers, relayOptions, relayEffects)
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
      if (transports !== undefined) await destroyTransports(transports)
    },
  }
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
