/** Looks at the first bytes of a connection before its TLS begins. */
import type { Socket } from 'node:net'

import type { Guard } from './exception-guard.ts'

/** What `decide` made of the first bytes, and how many of them TLS must not read. */
export interface Decision<T> {
  readonly value: T
  readonly consumed: number
}

export interface FirstBytesOptions<T> {
  readonly socket: Socket
  /** Milliseconds until the connection is closed without a decision. */
  readonly timeout: number
  /** Gets all bytes so far; undefined when they are too few. */
  readonly decide: (bytes: Buffer) => Decision<T> | undefined
}

export interface FirstBytesEffects<T> {
  readonly guard: Guard
  /** The bytes that were not consumed are in the socket again, from where TLS reads them. */
  readonly onDecided: (value: T) => void
  /** The client took too long, and its connection was closed. */
  readonly onTimeout: () => void
}

/** Reads until there is a decision. A client that disconnects before only loses its connection. */
export function readFirstBytes<T>(
  { socket, timeout, decide }: FirstBytesOptions<T>,
  { guard, onDecided, onTimeout }: FirstBytesEffects<T>,
): void {
  let bytes: Buffer = Buffer.alloc(0)
  const onReadable = guard(() => {
    const chunk = socket.read() as Buffer | null
    if (chunk === null) return
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
    const decision = decide(bytes)
    if (decision === undefined) return
    stop()
    if (decision.consumed < bytes.length) socket.unshift(bytes.subarray(decision.consumed))
    onDecided(decision.value)
  })
  const onEnd = (): void => {
    socket.destroy()
  }
  const onClose = (): void => clearTimeout(timer)
  const onLate = guard(() => {
    socket.destroy()
    onTimeout()
  })
  const timer = setTimeout(onLate, timeout).unref()
  const stop = (): void => {
    clearTimeout(timer)
    socket.off('readable', onReadable)
    socket.off('end', onEnd)
    socket.off('error', onEnd)
    socket.off('close', onClose)
  }
  socket.on('readable', onReadable)
  socket.on('end', onEnd)
  socket.on('error', onEnd)
  socket.on('close', onClose)
}
