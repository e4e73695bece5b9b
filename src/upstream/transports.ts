/** The transports to the API server with one credential, each with a queue in front of it. */
import type { UpstreamCredential } from '../cluster/credential.ts'
import type { ConnectionLimits } from '../cluster/endpoint.ts'
import type { Metrics } from '../metrics.ts'
import { createFairQueue, type FairQueueEffects, type QueueLimits } from './fair-queue.ts'
import { createFairTransport } from './fair-transport.ts'
import { createPoolTransport, type PoolEffects } from './http1/pool.ts'
import type { SessionEffects } from './session-opening.ts'
import { createSessionsTransport } from './sessions.ts'
import type { Transport } from './transport.ts'

export interface Transports {
  readonly credential: UpstreamCredential
  readonly short: Transport
  readonly longHttp1: Transport
  readonly long: Transport
}

export interface TransportsOptions {
  readonly limits: ConnectionLimits
  readonly queue: QueueLimits
}

export interface TransportsEffects extends PoolEffects, SessionEffects {
  readonly metrics: Metrics
}

/** Streams that may wait for a connection at the same time: as many as a new HTTP/2 session takes. */
const STARTING_STREAMS = 100

/** Connections open with the first request. */
export function openTransports(
  credential: UpstreamCredential,
  { limits, queue }: TransportsOptions,
  effects: TransportsEffects,
): Transports {
  const { endpoint } = credential
  const { maxConnections } = limits
  const queueOf = (kind: 'request' | 'stream', places: number) =>
    createFairQueue({ ...queue, places }, queueMetrics(effects.metrics, kind))
  const requests = queueOf('request', maxConnections)
  const streams = queueOf('stream', STARTING_STREAMS)
  const pool = createPoolTransport({ endpoint, limits, maxConnections }, effects)
  const longHttp1 = createPoolTransport({ endpoint, limits, maxConnections: null }, effects)
  const sessions = createSessionsTransport({ endpoint, limits, fallback: longHttp1 }, effects)
  return {
    credential,
    short: createFairTransport({ transport: pool, queue: requests, holds: 'response' }),
    longHttp1: createFairTransport({ transport: longHttp1, queue: streams, holds: 'start' }),
    long: createFairTransport({ transport: sessions, queue: streams, holds: 'start' }),
  }
}

function queueMetrics(
  { requestsWaiting, queueWait, limited }: Metrics,
  kind: 'request' | 'stream',
): FairQueueEffects {
  return {
    onWaiting: (change) => requestsWaiting.inc({ kind }, change),
    onWaited: (milliseconds) => queueWait.observe({ kind }, milliseconds / 1_000),
    onUserRefused: () => limited.inc({ limit: 'waiting_requests' }),
  }
}

/** Resolves when the requests in flight have ended. */
export async function closeTransports({ short, long, longHttp1 }: Transports): Promise<void> {
  // Sessions may still fall back to it.
  await Promise.all([short.close(), long.close()])
  await longHttp1.close()
}

/** Aborts the requests in flight. */
export async function destroyTransports({ short, long, longHttp1 }: Transports): Promise<void> {
  await Promise.all([short.destroy(), longHttp1.destroy(), long.destroy()])
}
