/**
 * Joins two upgraded connections: bytes are copied unchanged in both directions. Whichever side breaks
 * first, what the other one has sent is delivered before the end: the exit code of a command is behind
 * the input that it did not read.
 */
import type { Duplex } from 'node:stream'

import { onWriteFailure } from './write-failure.ts'

export interface TunnelEnd {
  readonly bytesFromClient: number
  readonly bytesToClient: number
  readonly endedBy: 'client' | 'upstream' | 'gatehouse'
  /** Whether both sides ended their stream, rather than one closing abruptly. */
  readonly clean: boolean
}

export interface Tunnel {
  readonly done: Promise<TunnelEnd>
  /** Destroys both connections. */
  cut(): void
}

/** How long one side may keep sending or reading after the other has ended: a half-close is forwarded. */
const HALF_CLOSED_MS = 60_000
/** How long a side may take to close after the other is gone and everything was delivered. */
const LINGER_MS = 5_000

/** Joins the two, each positioned after its HTTP head. */
export function joinTunnel(client: Duplex, upstream: Duplex): Tunnel {
  return new JoinedTunnel(client, upstream)
}

class JoinedTunnel implements Tunnel {
  readonly done: Promise<TunnelEnd>
  readonly #client: Side
  readonly #upstream: Side
  #endedBy: TunnelEnd['endedBy'] | undefined
  #timer: NodeJS.Timeout | undefined
  #resolve!: (end: TunnelEnd) => void

  constructor(client: Duplex, upstream: Duplex) {
    this.#client = new Side('client', client)
    this.#upstream = new Side('upstream', upstream)
    this.done = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#attach(this.#client, this.#upstream)
    this.#attach(this.#upstream, this.#client)
  }

  cut(): void {
    this.#endedBy ??= 'gatehouse'
    this.#client.socket.destroy()
    this.#upstream.socket.destroy()
  }

  #attach(side: Side, other: Side): void {
    const { socket } = side
    onWriteFailure(socket, () => this.#writeFailed(side, other))
    socket.on('data', (chunk: Buffer) => {
      side.bytes += chunk.length
      if (!other.write(chunk)) socket.pause()
    })
    socket.on('drain', () => other.socket.resume())
    // Either may have come before, while the audit event of the response was being written.
    if (socket.readableEnded) process.nextTick(() => this.#ended(side, other))
    else socket.on('end', () => this.#ended(side, other))
    // Then it closes.
    socket.on('error', () => socket.destroy())
    if (socket.closed) process.nextTick(() => this.#closed(side, other))
    else socket.once('close', () => this.#closed(side, other))
    socket.resume()
  }

  /** `side` takes no more, but may have sent something before. What is meant for it is discarded. */
  #writeFailed(side: Side, other: Side): void {
    this.#endedBy ??= side.name
    side.isDeaf = true
    if (side.hasEnded) side.socket.destroy()
    other.socket.resume()
    this.#limit(HALF_CLOSED_MS)
  }

  #ended(side: Side, other: Side): void {
    this.#endedBy ??= side.name
    side.hasEnded = true
    other.end()
    if (side.isDeaf) side.socket.destroy()
    this.#limit(HALF_CLOSED_MS)
  }

  #closed(side: Side, other: Side): void {
    this.#endedBy ??= side.name
    side.isDeaf = true
    if (other.socket.closed) {
      clearTimeout(this.#timer)
      this.#resolve({
        bytesFromClient: this.#client.bytes,
        bytesToClient: this.#upstream.bytes,
        endedBy: this.#endedBy,
        clean: this.#client.hasEnded && this.#upstream.hasEnded,
      })
      return
    }
    // A reset destroys a socket while data that was read before may still wait for the other side.
    for (let chunk = side.read(); chunk !== null; chunk = side.read()) {
      side.bytes += chunk.length
      other.write(chunk)
    }
    if (other.isDeaf) {
      other.socket.destroy()
      return
    }
    // Closing a socket with unread input would reset it, and destroy what its peer has not read yet.
    other.socket.resume()
    this.#limit(HALF_CLOSED_MS)
    other.end(() => this.#limit(LINGER_MS))
  }

  /** Destroys both when they have not closed by then. */
  #limit(milliseconds: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#client.socket.destroy()
      this.#upstream.socket.destroy()
    }, milliseconds)
    this.#timer.unref()
  }
}

class Side {
  readonly name: 'client' | 'upstream'
  readonly socket: Duplex
  /** Bytes received from it. */
  bytes = 0
  /** Whether its stream has ended properly. */
  hasEnded = false
  /** Whether it takes no more bytes. */
  isDeaf = false

  constructor(name: 'client' | 'upstream', socket: Duplex) {
    this.name = name
    this.socket = socket
  }

  /** Returns false when the caller has to wait for `drain`. */
  write(chunk: Buffer): boolean {
    return this.isDeaf || this.socket.write(chunk)
  }

  /** What was received and not yet passed on. */
  read(): Buffer | null {
    return this.socket.read() as Buffer | null
  }

  /** @param onFlushed called when everything that was written has been sent */
  end(onFlushed: () => void = () => undefined): void {
    if (this.isDeaf || this.socket.writableFinished) onFlushed()
    else if (this.socket.writableEnded) this.socket.once('finish', onFlushed)
    else this.socket.end(onFlushed)
  }
}
