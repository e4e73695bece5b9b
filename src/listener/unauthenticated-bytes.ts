/**
 * Limits the memory that clients without a credential can fill. A request is kept in memory from its
 * first byte until its user is authenticated, so that many connections with a long header each, finished
 * or not, add up to gigabytes.
 */

import type { LiveConnection } from './live-connections.ts'

export interface UnauthenticatedBytesOptions {
  /** Bytes that all connections together may keep; may be exceeded for one interval. */
  readonly maxBytes: number
  /** Milliseconds between checks. */
  readonly interval: number
}

export interface UnauthenticatedBytesEffects {
  readonly connections: () => Iterable<LiveConnection>
  readonly onEvicted: (connection: LiveConnection) => void
}

/**
 * Starts checking. Beyond the limit, the connections that keep most are closed, until half of it is free.
 *
 * @returns a function that ends the checks
 */
export function limitUnauthenticatedBytes(
  { maxBytes, interval }: UnauthenticatedBytesOptions,
  { connections, onEvicted }: UnauthenticatedBytesEffects,
): () => void {
  const timer = setInterval(() => {
    for (const connection of beyond(connections(), maxBytes)) {
      connection.socket.destroy()
      onEvicted(connection)
    }
  }, interval).unref()
  return () => clearInterval(timer)
}

/** The connections to close, those with the most bytes first. */
function beyond(connections: Iterable<LiveConnection>, maxBytes: number): LiveConnection[] {
  let total = 0
  const keeping: { readonly connection: LiveConnection; readonly bytes: number }[] = []
  for (const connection of connections) {
    const bytes = connection.served?.unauthenticatedBytes() ?? 0
    if (bytes === 0) continue
    total += bytes
    keeping.push({ connection, bytes })
  }
  if (total <= maxBytes) return []
  const chosen: LiveConnection[] = []
  for (const { connection, bytes } of keeping.sort((a, b) => b.bytes - a.bytes)) {
    if (total <= maxBytes / 2) break
    total -= bytes
    chosen.push(connection)
  }
  return chosen
}
