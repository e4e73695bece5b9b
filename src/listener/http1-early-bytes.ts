/**
 * What an HTTP/1.1 client sends before anybody asks for it: bytes behind an upgrade request, and the
 * rest of a body that was answered early.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

/**
 * Bytes of an unwanted body that are still read after an early answer, so that the client gets to
 * read the answer instead of a reset (RFC 9112 section 9.6); more breaks the connection.
 */
const LINGER_BYTES = 1_048_576
const LINGER_MS = 5_000
/** Bytes behind an upgrade request that are kept until it is answered; then its sender waits. */
const MAX_EARLY_BYTES = 65_536

/**
 * Reads on while an upgrade is being decided, or nobody would notice that the client has left. The
 * returned function ends that and gives what came.
 */
export function holdEarlyBytes(socket: Duplex, head: Buffer): () => Buffer {
  const held = [head]
  let length = head.length
  const onData = (chunk: Buffer): void => {
    held.push(chunk)
    length += chunk.length
    if (length > MAX_EARLY_BYTES) socket.pause()
  }
  // As node does with every other request: a client that says goodbye before the answer is gone.
  const onEnd = (): void => {
    socket.destroy()
  }
  socket.on('data', onData)
  socket.on('end', onEnd)
  return () => {
    socket.off('data', onData)
    socket.off('end', onEnd)
    socket.pause()
    return Buffer.concat(held)
  }
}

/** After an early answer: reads a bounded rest of the body away, then gives the connection up. */
export function lingerOver(message: IncomingMessage): void {
  if (message.complete || message.destroyed) return
  let left = LINGER_BYTES
  const socket = message.socket
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  timer.unref()
  message.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) socket.destroy()
  })
  const over = (): void => {
    clearTimeout(timer)
  }
  message.on('end', over)
  message.on('close', over)
  message.resume()
}
