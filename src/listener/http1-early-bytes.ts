/**
 * Bytes that an HTTP/1.1 client sends before they are wanted: those after an upgrade request, and the
 * rest of a body or of malformed input after an early response.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

/**
 * Bytes of a body that are read and discarded after an early response, so that the client can read the
 * response and does not get a reset (RFC 9112 section 9.6). More bytes close the connection.
 */
const LINGER_BYTES = 1_048_576
const LINGER_MS = 5_000
/** How long a client may be silent after the response to malformed input; Go's server waits as long. */
const LINGER_SILENCE_MS = 500
/** Bytes after an upgrade request that are buffered until the response; beyond it, reading pauses. */
const MAX_EARLY_BYTES = 65_536

/**
 * Keeps reading while an upgrade request is being processed, to notice when the client disconnects.
 *
 * @returns a function that stops reading and returns the bytes received
 */
export function holdEarlyBytes(socket: Duplex, head: Buffer): () => Buffer {
  const held = [head]
  let length = head.length
  const onData = (chunk: Buffer): void => {
    held.push(chunk)
    length += chunk.length
    if (length > MAX_EARLY_BYTES) socket.pause()
  }
  // As node does with other requests: a client that ends its side before the response has disconnected.
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

/** After an early response: discards a limited rest of the body, then closes the connection. */
export function discardBody(message: IncomingMessage): void {
  if (message.complete || message.destroyed) return
  let left = LINGER_BYTES
  const socket = message.socket
  const timer = setTimeout(() => socket.destroy(), LINGER_MS)
  timer.unref()
  message.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) socket.destroy()
  })
  const onEnd = (): void => {
    clearTimeout(timer)
  }
  message.on('end', onEnd)
  message.on('close', onEnd)
  message.resume()
}

/**
 * Sends the last bytes of a connection, then discards a limited rest of the input: closing a socket with
 * unread bytes resets the connection, and the client may lose the response (RFC 9112 section 9.6).
 */
export function endAndDiscard(socket: Duplex, response: string): void {
  let left = LINGER_BYTES
  let silence: NodeJS.Timeout | undefined
  const destroy = (): void => {
    socket.destroy()
  }
  const deadline = setTimeout(destroy, LINGER_MS).unref()
  // These bytes belong to no request: node's parser must not see them.
  socket.removeAllListeners('data')
  socket.on('data', (chunk: Buffer) => {
    left -= chunk.length
    silence?.refresh()
    if (left < 0) socket.destroy()
  })
  socket.once('end', destroy)
  socket.once('close', () => {
    clearTimeout(deadline)
    clearTimeout(silence)
  })
  socket.end(response, () => {
    if (!socket.destroyed) silence = setTimeout(destroy, LINGER_SILENCE_MS).unref()
  })
  socket.resume()
}
