import { once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'

/** The loopback address that everything for development and tests listens on. */
export const LOOPBACK = '127.0.0.1'

/** Listens on a free port of {@link LOOPBACK} and returns the port. Throws when that fails. */
export async function listenOnLoopback(server: Server): Promise<number> {
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
