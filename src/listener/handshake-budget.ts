/**
 * What one address may make Gatehouse spend on TLS handshakes. They run on the thread that serves
 * everybody, and a client decides what they cost: OpenSSL verifies the certificates that it sends,
 * with keys as large as they come (of the class of CVE-2023-29409).
 */
import type { Socket } from 'node:net'

import { createTokenBuckets, type BucketSize } from '../limits/token-bucket.ts'

/**
 * Bytes of a client's certificates, and of all that it sends before its handshake is done, that cost
 * no more than usual: a certificate of RSA 4096 has 2 kB, and few clients send more than three.
 */
export const USUAL_BYTES = 10_240
/** What an unusual handshake costs, in usual ones: twenty keys of 16384 bits take that much longer. */
const UNUSUAL_COST = 200
/**
 * HandshakeBudget of one address under way at once. Their costs are known only afterwards, so this is
 * what an address can make others wait for, once.
 */
const MAX_PENDING = 64

export interface HandshakeBudgetOptions {
  /** New handshakes of one address. */
  readonly rate: BucketSize
  /** Addresses that are remembered at most. */
  readonly maxTrackedKeys: number
  /** One under way was cut, for others' sake or for what its address has spent. */
  readonly onCut: (address: string) => void
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number
}

export interface HandshakeBudget {
  /** False: the address has had its share. Else the handshake is under way until `done` or its close. */
  begin(address: string, socket: Socket): boolean
  /** @param chainBytes length of the certificates that the client sent */
  done(address: string, socket: Socket, chainBytes: number): void
}

/** Of too many at once the oldest goes: who says nothing is not to keep others of its address out. */
export function createHandshakeBudget({
  rate,
  maxTrackedKeys,
  onCut,
  now,
}: HandshakeBudgetOptions): HandshakeBudget {
  const buckets = createTokenBuckets(rate, maxTrackedKeys)
  const pending = new Map<string, Set<Socket>>()

  const remove = (address: string, socket: Socket): boolean => {
    const ofAddress = pending.get(address)
    if (ofAddress?.delete(socket) !== true) return false
    if (ofAddress.size === 0) pending.delete(address)
    return true
  }

  const cut = (address: string, socket: Socket): void => {
    socket.destroy()
    onCut(address)
  }

  const charge = (address: string): void => {
    if (buckets.charge(address, UNUSUAL_COST, now())) return
    // In debt: what is under way may cost as much, and is not waited for.
    for (const socket of [...(pending.get(address) ?? [])]) cut(address, socket)
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
      if (oldest !== undefined && ofAddress.size > MAX_PENDING) cut(address, oldest)
      return true
    },
    done(address, socket, chainBytes) {
      if (remove(address, socket) && chainBytes > USUAL_BYTES) charge(address)
    },
  }
}
