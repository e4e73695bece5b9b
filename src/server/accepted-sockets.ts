/**
 * TCP connections from accept on, before TLS: bounded by address, and remembering which loading of
 * the client CA was current, since a handshake may straddle a reload.
 */
import type { Socket } from 'node:net'

import { addressKey } from '../limits/address-key.ts'
import { createTokenBuckets, type BucketSize } from '../limits/token-bucket.ts'
import { canonicalAddress } from './connection.ts'

export interface AddressBounds {
  readonly maxConnectionsPerAddress: number
  /** New connections of one address, each of which costs a TLS handshake. */
  readonly handshakes: BucketSize
  /** Addresses whose handshakes are remembered at most. */
  readonly maxTrackedKeys: number
}

/** Why a connection is not taken, as the metric calls it. */
export type AcceptRefusal = 'address' | 'handshake_rate'

export interface AcceptedSockets {
  /** Undefined: counted until it closes. Else it is not, and is to be destroyed before TLS begins. */
  add(socket: Socket, generation: number): AcceptRefusal | undefined
  /** 0, which no certificate can match, for a socket that was never accepted. */
  generationOf(socket: Socket): number
}

/** @param now milliseconds of a clock that only goes forward */
export function createAcceptedSockets(
  bounds: AddressBounds,
  now: () => number = () => performance.now(),
): AcceptedSockets {
  const handshakes = createTokenBuckets(bounds.handshakes, bounds.maxTrackedKeys)
  const generations = new Map<string, number>()
  const byAddress = new Map<string, number>()

  return {
    add(socket, generation) {
      const key = socketKey(socket)
      const address = addressKey(canonicalAddress(socket.remoteAddress ?? ''))
      const count = byAddress.get(address) ?? 0
      if (count >= bounds.maxConnectionsPerAddress) return 'address'
      if (!handshakes.take(address, now()).allowed) return 'handshake_rate'
      byAddress.set(address, count + 1)
      generations.set(key, generation)
      socket.once('close', () => {
        generations.delete(key)
        const left = (byAddress.get(address) ?? 1) - 1
        if (left === 0) byAddress.delete(address)
        else byAddress.set(address, left)
      })
      return undefined
    },
    generationOf: (socket) => generations.get(socketKey(socket)) ?? 0,
  }
}

function socketKey(socket: Socket): string {
  return `${socket.remoteAddress ?? ''}|${socket.remotePort ?? 0}`
}
