/**
 * TCP connections from accept on, before TLS: limited per address and in total. Each keeps the
 * generation of the client CA at accept, since a reload may happen during its handshake.
 */
import type { Socket } from 'node:net'

import { addressKey } from '../limits/address-key.ts'
import type { BucketSize } from '../limits/token-bucket.ts'
import { peerOf, type AcceptedFacts, type ClientAddress } from './client-connection.ts'
import { createHandshakeBudget } from './handshake-budget.ts'

export interface AcceptLimits {
  readonly maxConnections: number
  readonly maxConnectionsPerAddress: number
  /** Rate of new connections per address, each of which costs a TLS handshake. */
  readonly handshakes: BucketSize
  /** How many addresses are tracked for the handshake limit. */
  readonly maxTrackedKeys: number
}

/** Why a connection is refused, as the value of the metric's label. */
export type AcceptRefusal = 'address' | 'handshake_rate' | 'total'

export interface AcceptedSockets {
  /**
   * @returns undefined when the connection is accepted, and counted until it closes; else the caller
   * destroys it before TLS begins
   * @param client where the client connects from, if that is not the peer of the socket
   */
  add(socket: Socket, generation: number, client?: ClientAddress): AcceptRefusal | undefined
  /**
   * Called when the TLS handshake is complete.
   *
   * @param chainBytes length of the certificates that the client sent
   */
  handshakeDone(socket: Socket, chainBytes: number): void
  /** Generation 0, which no certificate has, for a socket that was not accepted. */
  factsOf(socket: Socket): AcceptedFacts
}

export interface AcceptEffects {
  /** Whether the connection with this `socketKey` is idle, and may be evicted. */
  readonly isIdle: (key: string) => boolean
  readonly onEvicted: (address: string) => void
  /** A handshake in progress was closed by the budget of handshakes. */
  readonly onHandshakeEvicted: (address: string) => void
  /** Monotonic milliseconds. */
  readonly now?: () => number
}

interface Accepted {
  readonly key: string
  readonly address: string
  readonly socket: Socket
  readonly facts: AcceptedFacts
}

/**
 * At `maxConnections`, an idle connection is evicted for a new one: of the address with the most
 * connections if that has an idle one. So a client cannot lock others out by holding connections open.
 */
export function createAcceptedSockets(
  limits: AcceptLimits,
  { isIdle, onEvicted, onHandshakeEvicted, now = () => performance.now() }: AcceptEffects,
): AcceptedSockets {
  const handshakes = createHandshakeBudget(
    { rate: limits.handshakes, maxTrackedKeys: limits.maxTrackedKeys },
    { onEvicted: onHandshakeEvicted, now },
  )
  const all = new Map<string, Accepted>()
  /** Each set is ordered from the oldest to the newest. */
  const byAddress = new Map<string, Set<Accepted>>()

  const remove = (accepted: Accepted): void => {
    const { key, address } = accepted
    const ofAddress = byAddress.get(address)
    if (ofAddress?.delete(accepted) !== true) return
    // A newer connection may already use the same port.
    if (all.get(key) === accepted) all.delete(key)
    if (ofAddress.size === 0) byAddress.delete(address)
  }

  const makeRoom = (): boolean => {
    let most: Set<Accepted> | undefined
    for (const sockets of byAddress.values()) {
      if (sockets.size > (most?.size ?? 0)) most = sockets
    }
    const evicted = firstIdle(most ?? []) ?? firstIdle(all.values())
    if (evicted === undefined) return false
    remove(evicted)
    evicted.socket.destroy()
    onEvicted(evicted.address)
    return true
  }

  const firstIdle = (sockets: Iterable<Accepted>): Accepted | undefined => {
    for (const accepted of sockets) if (isIdle(accepted.key)) return accepted
    return undefined
  }

  return {
    add(socket, generation, client = peerOf(socket)) {
      const key = socketKey(socket)
      const address = addressKey(client.address)
      const count = byAddress.get(address)?.size ?? 0
      if (count >= limits.maxConnectionsPerAddress) return 'address'
      if (!handshakes.begin(address, socket)) return 'handshake_rate'
      if (all.size >= limits.maxConnections && !makeRoom()) return 'total'
      const accepted = { key, address, socket, facts: { client, generation } }
      all.set(key, accepted)
      const ofAddress = byAddress.get(address) ?? new Set()
      byAddress.set(address, ofAddress.add(accepted))
      socket.once('close', () => {
        remove(accepted)
      })
      return undefined
    },
    handshakeDone(socket, chainBytes) {
      const accepted = all.get(socketKey(socket))
      if (accepted !== undefined) handshakes.done(accepted.address, accepted.socket, chainBytes)
    },
    factsOf: (socket) =>
      all.get(socketKey(socket))?.facts ?? { client: peerOf(socket), generation: 0 },
  }
}

/** Identifies a connection, by its TCP and its TLS socket alike. */
export function socketKey(socket: Socket): string {
  return `${socket.remoteAddress ?? ''}|${socket.remotePort ?? 0}`
}
