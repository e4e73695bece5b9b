/**
 * Requests to the API server over keep-alive HTTP/1.1 connections. The one that was used last serves the
 * next request, so that the others grow old and close. Nothing is ever sent twice.
 */
import type { ConnectionLimits, UpstreamEndpoint } from '../../cluster/endpoint.ts'
import { neverConnected, UpstreamError } from '../errors.ts'
import type { Transport } from '../transport.ts'
import { Connection } from './connection.ts'
import { RequestInFlight } from './request-in-flight.ts'
import type { Slabs } from './slabs.ts'
import type { TurnEndListener } from './turn-end.ts'

/** Checks per timeout: one ends at most a quarter later. */
const CHECKS = 4

export interface PoolOptions {
  readonly endpoint: UpstreamEndpoint
  readonly limits: ConnectionLimits
  /** Null for no limit (streams, each of which holds a connection). */
  readonly maxConnections: number | null
}

export interface PoolEffects {
  readonly slabs: Slabs
  readonly atTurnEnd: (listener: TurnEndListener) => void
  /** Monotonic clock, in milliseconds. */
  readonly now?: () => number
}

/** Creates the pool; connections open on demand. */
export function createPoolTransport(
  { endpoint, limits, maxConnections }: PoolOptions,
  { slabs, atTurnEnd, now = () => performance.now() }: PoolEffects,
): Transport {
  const max = maxConnections ?? Infinity
  const connections = new Set<Connection>()
  /** The one that was used last is the last. */
  const free: Connection[] = []
  const waiting: RequestInFlight[] = []
  let connecting = 0
  let inFlight = 0
  let isClosed = false
  let onEmpty: (() => void) | undefined
  const interval = Math.min(limits.responseHeaderTimeout, limits.idleTimeout) / CHECKS
  const timer = setInterval(check, Math.max(1, interval)).unref()

  function check(): void {
    const at = now()
    for (const connection of free.filter((each) => each.isStale(at))) connection.close()
    for (const connection of [...connections]) connection.checkProgress(at)
  }

  /** Has a connection that is free serve a request, or the next one if its client is gone. */
  function serve(connection: Connection, request: RequestInFlight | undefined): void {
    for (let next = request; next !== undefined; next = waiting.shift()) {
      if (connection.start(next)) return
    }
    if (isClosed) connection.close()
    else free.push(connection)
  }

  function takeFree(): Connection | undefined {
    const at = now()
    for (let connection = free.pop(); connection !== undefined; connection = free.pop()) {
      if (!connection.isStale(at)) return connection
      connection.close()
    }
    return undefined
  }

  function connect(): void {
    while (waiting.length > connecting && connections.size < max) {
      connecting += 1
      const effects = { slabs, atTurnEnd, now, onOpen, onFree, onClosed }
      connections.add(new Connection({ endpoint, limits }, effects))
    }
  }

  function onOpen(): void {
    connecting -= 1
  }

  function onFree(connection: Connection): void {
    serve(connection, waiting.shift())
  }

  function onClosed(connection: Connection, error: Error, wasOpen: boolean): void {
    connections.delete(connection)
    const at = free.indexOf(connection)
    if (at !== -1) free.splice(at, 1)
    if (!wasOpen) {
      connecting -= 1
      failWaiting(neverConnected(error))
    }
    connect()
  }

  /**
   * After a failed attempt to connect. Those fail that no other attempt is made for; while connections
   * are in use, which will be free again, only the one that has waited longest.
   */
  function failWaiting(error: Error): void {
    const canWait = connections.size > connecting ? waiting.length - 1 : connecting
    for (const request of waiting.splice(0, waiting.length - canWait)) request.fail(error)
  }

  function onDone(): void {
    inFlight -= 1
    if (isClosed && inFlight === 0) closeAll()
  }

  function closeAll(): void {
    clearInterval(timer)
    for (const connection of [...connections]) connection.close()
    onEmpty?.()
  }

  return {
    send(request, receiver) {
      inFlight += 1
      const entry = new RequestInFlight(request, receiver, onDone)
      if (isClosed) {
        entry.fail(closing())
        return
      }
      const connection = takeFree()
      if (connection !== undefined) serve(connection, entry)
      else {
        waiting.push(entry)
        connect()
      }
    },
    close() {
      isClosed = true
      for (const connection of [...free]) connection.close()
      return new Promise((resolve) => {
        onEmpty = resolve
        if (inFlight === 0) closeAll()
      })
    },
    async destroy() {
      isClosed = true
      const error = new Error('Gatehouse has closed the connection')
      for (const request of waiting.splice(0)) request.fail(error)
      for (const connection of [...connections]) connection.fail(error)
      closeAll()
    },
  }
}

/** Nothing was sent: clients may repeat any request. */
function closing(): UpstreamError {
  return new UpstreamError('queue', 'ServiceUnavailable', 'Gatehouse closes its connections', {
    headers: { 'Retry-After': '1' },
  })
}
