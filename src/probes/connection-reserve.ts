/**
 * Room on the listener of the probes, which strangers may reach as well: when it is full, a newcomer
 * is let in and somebody else has to go, so that nobody holds the place of a probe by doing nothing.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export interface Occupant {
  readonly address: string
  /** Whether a request of it is being answered. */
  readonly busy: boolean
}

/** Bounds the connections of a server to `max`. */
export function keepRoom(server: Server, max: number): void {
  const open = new Map<Socket, { readonly address: string; busy: boolean }>()

  server.on('connection', (socket: Socket) => {
    open.set(socket, { address: socket.remoteAddress ?? '', busy: false })
    socket.once('close', () => open.delete(socket))
    if (open.size <= max) return
    const [leaving] = [...open.keys()].slice(whoLeaves([...open.values()]))
    leaving?.destroy()
    // Not when it has closed at last: the next newcomer must not count it.
    if (leaving !== undefined) open.delete(leaving)
  })
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const occupant = open.get(socket)
    if (occupant === undefined) return
    occupant.busy = true
    response.once('close', () => (occupant.busy = false))
  })
}

/**
 * Of the address with most connections the one that has been idle for longest, or if all of them are
 * busy its oldest.
 *
 * @param occupants at least one, the oldest first
 * @returns an index
 */
export function whoLeaves(occupants: readonly Occupant[]): number {
  const counts = new Map<string, number>()
  for (const { address } of occupants) counts.set(address, (counts.get(address) ?? 0) + 1)
  const most = Math.max(...counts.values())
  const isOfMost = ({ address }: Occupant): boolean => counts.get(address) === most
  const idle = occupants.findIndex((occupant) => isOfMost(occupant) && !occupant.busy)
  return idle === -1 ? occupants.findIndex(isOfMost) : idle
}
