/**
 * TCP connections from accept on, before TLS: bounded, by address and altogether, and remembering
 * which loading of the client CA was current, since a handshake may straddle a reload.
 */
import type { Socket } from 'node:net'

import { addressKey } from '../limits/address-key.ts'
import type { BucketSize } from '../limits/token-bucket.ts'
import { canonicalAddress } from './client-connection.ts'
import { createHandshakeBudget } from './handshake-budget.ts'

export interface AcceptLimits {
  readonly maxConnections: number
  readonly maxConnectionsPerAddress: number
  /** New connections of one address, each of which costs a TLS handshake. */
  readonly handshakes: BucketSize
  /** Addresses whose handshakes are remembered at most. */
  readonly maxTrackedKeys: number
}

/** Why a connection is not taken, as the metric calls it. */
export type AcceptRefusal = 'address' | 'handshake_rate' | 'total'

export interface AcceptedSockets {
  /** Undefined: counted until it closes. Else it is not, and is to be destroyed before TLS begins. */
  add(socket: Socket, generation: number): AcceptRefusal | undefined
  /**
   * Its TLS handshake has come to its end.
   *
   * @param chainBytes length of the certificates that the client sent
   */
  handshakeDone(socket: Socket, chainBytes: number): void
  /** 0, which no certificate can match, for a socket that was never accepted. */
  generationOf(socket: Socket): number
}

export interface AcceptEffects {
  /** Whether nothing runs on a connection, by `socketKey`: it may go when there is no room. */
  readonly isIdle: (key: string) => boolean
  readonly onEvicted: (address: string) => void
  /** Milliseconds of a clock that only goes forward. */
  readonly now?: () => number
}

interface Accepted {
  readonly key: string
  readonly address: string
  readonly socket: Socket
  readonly generation: number
}

/**
 * When all places are taken, an idle connection makes room, one of the address that holds most if it
 * has any: nobody can keep others out by holding connections open.
 */
export function createAcceptedSockets(
  bounds: AcceptLimits,
  { isIdle, onEvicted, now = () => performance.now() }: AcceptEffects,
): AcceptedSockets {
  const handshakes = createHandshakeBudget({
    rate: bounds.handshakes,
    maxTrackedKeys: bounds.maxTrackedKeys,
    onCut: onEvicted,
    now,
  })
  const all = new Map<string, Accepted>()
  /** The oldest first. */
  const byAddress = new Map<string, Set<Accepted>>()

  const remove = (accepted: Accepted): void => {
    const { key, address } = accepted
    const ofAddress = byAddress.get(address)
    if (ofAddress?.delete(accepted) !== true) return
    // Its port may be somebody else's already.
    if (all.get(key) === accepted) all.delete(key)
    if (ofAddress.size === 0) byAddress.delete(address)
  }

  const makeRoom = (): boolean => {
    let most: Set<Accepted> | undefined
    for (const sockets of byAddress.values()) {
      if (sockets.size > (most?.size ?? 0)) most = sockets
    }
    const leaving = firstIdle(most ?? []) ?? firstIdle(all.values())
    if (leaving === undefined) return false
    remove(leaving)
    leaving.socket.destroy()
    onEvicted(leaving.address)
    return true
  }

  const firstIdle = (sockets: Iterable<Accepted>): Accepted | undefined => {
    for (const accepted of sockets) if (isIdle(accepted.key)) return accepted
    return undefined
  }

  return {
    add(socket, generation) {
      const key = socketKey(socket)
      const address = addressKey(canonicalAddress(socket.remoteAddress ?? ''))
      const count = byAddress.get(address)?.size ?? 0
      if (count >= bounds.maxConnectionsPerAddress) return 'address'
      if (!handshakes.begin(address, socket)) return 'handshake_rate'
      if (all.size >= bounds.maxConnections && !makeRoom()) return 'total'
      const accepted = { key, address, socket, generation }
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
    generationOf: (socket) => all.get(socketKey(socket))?.generation ?? 0,
  }
}

/** What a connection is called before and after TLS. */
export function socketKey(socket: Socket): string {
  return `${socket.remoteAddress ?? ''}|${socket.remotePort ?? 0}`
}
