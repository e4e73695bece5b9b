/** Connections whose TLS handshake is complete, until they close: idle ones are swept. */
import type { TLSSocket } from 'node:tls'

import type { ClientConnection } from '../http/exchange.ts'
import type { ServedConnection } from './served-connection.ts'

/** One connection, of either protocol. */
export interface LiveConnection {
  readonly connection: ClientConnection
  readonly socket: TLSSocket
  /** Undefined until its protocol's server has taken it. */
  served: ServedConnection | undefined
}

export interface LiveConnections {
  /** @param key of `socketKey`; an entry whose key is reused is replaced */
  add(key: string, entry: LiveConnection): void
  remove(key: string, entry: LiveConnection): void
  /** Whether no request of an authenticated user runs on it; true while its handshake is in progress. */
  isIdle(key: string): boolean
  /** Makes connections finish what runs and take no new requests. */
  retire(which: (connection: ClientConnection) => boolean): void
  /**
   * Destroys the connections that have been idle for too long, repeatedly. node's own timer
   * restarts with every byte, including empty lines between requests.
   *
   * @param longestIdle milliseconds
   * @param interval milliseconds between checks
   */
  startSweep(longestIdle: number, interval: number): void
  /** All of them, in no order. */
  all(): Iterable<LiveConnection>
  /** Stops the sweep and destroys every connection; resolves when all of them have closed. */
  destroy(): Promise<void>
}

/** Creates the list, empty. */
export function createLiveConnections(): LiveConnections {
  const live = new Map<string, LiveConnection>()
  let timer: NodeJS.Timeout | undefined

  const sweep = (longestIdle: number): void => {
    for (const { socket, served } of live.values()) {
      const since = served?.idleSince() ?? Infinity
      if (performance.now() - since > longestIdle) socket.destroy()
    }
  }

  return {
    add: (key, entry) => void live.set(key, entry),
    remove(key, entry) {
      if (live.get(key) === entry) live.delete(key)
    },
    isIdle: (key) => live.get(key)?.served?.isIdle() ?? true,
    retire(which) {
      for (const { connection } of live.values()) if (which(connection)) connection.retire()
    },
    startSweep(longestIdle, interval) {
      timer = setInterval(sweep, interval, longestIdle).unref()
    },
    all: () => live.values(),
    async destroy() {
      clearInterval(timer)
      const sockets = [...live.values()].map(({ socket }) => socket)
      const closed = sockets.map(
        (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
      )
      for (const socket of sockets) socket.destroy()
      await Promise.all(closed)
    },
  }
}
