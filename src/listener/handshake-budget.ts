/**
 * The TLS handshake budget of each address. Handshakes run on the thread that serves all clients, and
 * the client determines their cost: OpenSSL verifies the certificates that it sends, with keys of any
 * size (similar to CVE-2023-29409).
 */
import type { Socket } from 'node:net'

import { createTokenBuckets, type BucketSize } from '../limits/token-bucket.ts'

/**
 * Up to this many bytes, the certificates of a client, and everything that it sends during its
 * handshake, cost the usual amount: an RSA 4096 certificate has 2 kB, and chains rarely exceed three.
 */
export const USUAL_BYTES = 10_240
/** The cost of a larger handshake, in usual ones: twenty keys of 16384 bits take that much longer. */
const UNUSUAL_COST = 200
/**
 * How many handshakes of one address may be in progress. Their cost is known only afterwards, so this
 * limits how long one address can block all others, once.
 */
const MAX_PENDING = 64

export interface HandshakeBudgetOptions {
  /** Rate of new handshakes per address. */
  readonly rate: BucketSize
  /** How many addresses are tracked. */
  readonly maxTrackedKeys: number
}

export interface HandshakeBudgetEffects {
  /** A handshake in progress was closed, because of `MAX_PENDING` or its address's spent budget. */
  readonly onEvicted: (address: string) => void
  /** Monotonic milliseconds. */
  readonly now: () => number
}

export interface HandshakeBudget {
  /**
   * @returns false when the address has spent its budget; else the handshake is in progress until
   * `done` or until the socket closes
   */
  begin(address: string, socket: Socket): boolean
  /** @param chainBytes length of the certificates that the client sent */
  done(address: string, socket: Socket, chainBytes: number): void
}

/**
 * Beyond `MAX_PENDING` the oldest handshake is closed, so that silent clients cannot lock out others
 * behind the same address.
 */
export function createHandshakeBudget(
  { rate, maxTrackedKeys }: HandshakeBudgetOptions,
  { onEvicted, now }: HandshakeBudgetEffects,
): HandshakeBudget {
  const buckets = createTokenBuckets(rate, maxTrackedKeys)
  const pending = new Map<string, Set<Socket>>()

  const remove = (address: string, socket: Socket): boolean => {
    const ofAddress = pending.get(address)
    if (ofAddress?.delete(socket) !== true) return false
    if (ofAddress.size === 0) pending.delete(address)
    return true
  }

  const evict = (address: string, socket: Socket): void => {
    socket.destroy()
    onEvicted(address)
  }

  const charge = (address: string): void => {
    if (buckets.charge(address, UNUSUAL_COST, now())) return
    // The budget is overspent, and handshakes in progress may cost as much again.
    for (const socket of [...(pending.get(address) ?? [])]) evict(address, socket)
  }

  return {
    begin(address, socket) {
      if (!buckets.take(address, now()).allowed) return false
      const ofAddress = pending.get(address) ?? new Set()
      pending.set(address, ofAddress.add(socket))
      socket.once('close', () => {
        if (remove(address, socket) && socket.bytesRead > USUAL_BYTES) charge(address)
      })
      const [oldest] = ofAddress
      if (oldest !== undefined && ofAddress.size > MAX_PENDING) evict(address, oldest)
      return true
    },
    done(address, socket, chainBytes) {
      if (remove(address, socket) && chainBytes > USUAL_BYTES) charge(address)
    },
  }
}
