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
/**
 * And how many of all addresses together: OpenSSL keeps up to 130 kB of a handshake that never ends,
 * besides what a connection costs anyway.
 */
const MAX_PENDING_IN_TOTAL = 256

export interface HandshakeBudgetOptions {
  /** Rate of new handshakes per address. */
  readonly rate: BucketSize
  /** How many addresses are tracked. */
  readonly maxTrackedKeys: number
}

export interface HandshakeBudgetEffects {
  /** A handshake in progress was closed: too many are, or its address has spent its budget. */
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
 * behind the same address. Beyond the limit of all addresses, it is the oldest of the address with the most.
 */
export function createHandshakeBudget(
  { rate, maxTrackedKeys }: HandshakeBudgetOptions,
  { onEvicted, now }: HandshakeBudgetEffects,
): HandshakeBudget {
  const buckets = createTokenBuckets(rate, maxTrackedKeys)
  const pending = new Map<string, Set<Socket>>()
  let inTotal = 0

  const remove = (address: string, socket: Socket): boolean => {
    const ofAddress = pending.get(address)
    if (ofAddress?.delete(socket) !== true) return false
    inTotal -= 1
    if (ofAddress.size === 0) pending.delete(address)
    return true
  }

  /** @returns whether the address has now spent its budget, since what is closed was a long handshake */
  const close = (address: string, socket: Socket): boolean => {
    // It no longer counts, whenever the socket reports its end.
    remove(address, socket)
    socket.destroy()
    onEvicted(address)
    return socket.bytesRead > USUAL_BYTES && !buckets.charge(address, UNUSUAL_COST, now())
  }

  const closeAll = (address: string): void => {
    for (const socket of [...(pending.get(address) ?? [])]) close(address, socket)
  }

  const charge = (address: string): void => {
    // The budget is overspent, and handshakes in progress may cost as much again.
    if (!buckets.charge(address, UNUSUAL_COST, now())) closeAll(address)
  }

  const closeOldest = (address: string, ofAddress: ReadonlySet<Socket>): void => {
    const [oldest] = ofAddress
    if (oldest !== undefined && close(address, oldest)) closeAll(address)
  }

  const closeOfLargest = (): void => {
    let largest: readonly [string, ReadonlySet<Socket>] | undefined
    for (const each of pending) if (each[1].size > (largest?.[1].size ?? 0)) largest = each
    if (largest !== undefined) closeOldest(...largest)
  }

  return {
    begin(address, socket) {
      if (!buckets.take(address, now()).allowed) return false
      const ofAddress = pending.get(address) ?? new Set()
      pending.set(address, ofAddress.add(socket))
      inTotal += 1
      socket.once('close', () => {
        if (remove(address, socket) && socket.bytesRead > USUAL_BYTES) charge(address)
      })
      if (ofAddress.size > MAX_PENDING) closeOldest(address, ofAddress)
      else if (inTotal > MAX_PENDING_IN_TOTAL) closeOfLargest()
      return true
    },
    done(address, socket, chainBytes) {
      if (remove(address, socket) && chainBytes > USUAL_BYTES) charge(address)
    },
  }
}
