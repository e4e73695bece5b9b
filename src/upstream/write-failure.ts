import type { Duplex } from 'node:stream'

type Callback = (error?: Error | null) => void

/**
 * Keeps a socket readable when a write to it fails. A peer that closes with input that it has not read
 * resets the connection. What it sent before is still in the receive buffer, but Node destroys a socket
 * whose write has failed.
 *
 * @param onFailure called once, with the first failure; later writes seem to succeed and send nothing
 */
export function onWriteFailure(socket: Duplex, onFailure: (error: Error) => void): void {
  let hasFailed = false
  const write = socket._write.bind(socket)
  const writev = socket._writev?.bind(socket)
  const final = socket._final.bind(socket)

  const surviving =
    (callback: Callback): Callback =>
    (error) => {
      if (error instanceof Error && !hasFailed) {
        hasFailed = true
        onFailure(error)
      }
      callback()
    }

  socket._write = (chunk, encoding, callback) => {
    if (hasFailed) callback()
    else write(chunk, encoding, surviving(callback))
  }
  if (writev !== undefined) {
    socket._writev = (chunks, callback) => {
      if (hasFailed) callback()
      else writev(chunks, surviving(callback))
    }
  }
  socket._final = (callback) => {
    if (hasFailed) callback()
    else final(surviving(callback))
  }
}
