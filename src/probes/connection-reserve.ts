/**
 * The connection limit of the probes listener, which unauthenticated clients may reach as well. A new
 * connection beyond the limit is accepted and another one is evicted, so that clients cannot lock out
 * probes by holding connections open.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export interface Occupant {
  readonly address: string
  /** Whether a request is in progress. */
  readonly busy: boolean
}

/** Limits the open connections of a server to `max`. */
export function limitConnections(server: Server, max: number): void {
  const open = new Map<Socket, { readonly address: string; busy: boolean }>()

  server.on('connection', (socket: Socket) => {
    open.set(socket, { address: socket.remoteAddress ?? '', busy: false })
    socket.once('close', () => open.delete(socket))
    if (open.size <= max) return
    const [evicted] = [...open.keys()].slice(indexToEvict([...open.values()]))
    evicted?.destroy()
    // Immediately, not when it has closed: the next connection must not count it.
    if (evicted !== undefined) open.delete(evicted)
  })
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const occupant = open.get(socket)
    if (occupant === undefined) return
    occupant.busy = true
    response.once('close', () => (occupant.busy = false))
  })
}

/**
 * Selects the oldest idle connection of the address with the most connections, or its oldest one if
 * all of them are busy.
 *
 * @param occupants at least one, from the oldest to the newest
 * @returns an index
 */
export function indexToEvict(occupants: readonly Occupant[]): number {
  const counts = new Map<string, number>()
  for (const { address } of occupants) counts.set(address, (counts.get(address) ?? 0) + 1)
  const most = Math.max(...counts.values())
  const isOfMost = ({ address }: Occupant): boolean => counts.get(address) === most
  const idle = occupants.findIndex((occupant) => isOfMost(occupant) && !occupant.busy)
  return idle === -1 ? occupants.findIndex(isOfMost) : idle
}
