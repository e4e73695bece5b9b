/**
 * Joins two upgraded connections: bytes are copied unchanged in both directions. Whichever side breaks
 * first, what the other one has sent is delivered before the end: the exit code of a command is behind
 * the input that it did not read.
 */
import type { Duplex } from 'node:stream'

import type { StatusError } from '../status.ts'
import type { TunnelNotice } from './end-notice.ts'
import { FRAME_END_MS } from './frame-ends.ts'
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
  /**
   * Ends both connections: at once, or if the client can be told why, between two frames of the API
   * server and behind a notice of the reason.
   */
  cut(reason: StatusError): void
}

/** How long one side may keep sending or reading after the other has ended: a half-close is forwarded. */
const HALF_CLOSED_MS = 60_000
/** How long a side may take to close after the other is gone and everything was delivered. */
const LINGER_MS = 5_000

/**
 * Joins the two, each positioned after its HTTP head.
 *
 * @param notice how the client learns why Gatehouse ended the tunnel; undefined: it does not
 */
export function joinTunnel(client: Duplex, upstream: Duplex, notice?: TunnelNotice): Tunnel {
  return new JoinedTunnel(client, upstream, notice)
}

class JoinedTunnel implements Tunnel {
  readonly done: Promise<TunnelEnd>
  readonly #client: Side
  readonly #upstream: Side
  readonly #notice: TunnelNotice | undefined
  /** Why it ends, while the rest of a frame or the end of the notice is on its way. */
  #cutReason: StatusError | undefined
  /** Whether the notice was written: nothing follows it. */
  #hasNotice = false
  #endedBy: TunnelEnd['endedBy'] | undefined
  #timer: NodeJS.Timeout | undefined
  #resolve!: (end: TunnelEnd) => void

  constructor(client: Duplex, upstream: Duplex, notice: TunnelNotice | undefined) {
    this.#notice = notice
    this.#client = new Side('client', client)
    this.#upstream = new Side('upstream', upstream)
    this.done = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#attach(this.#client, this.#upstream)
    this.#attach(this.#upstream, this.#client)
  }

  cut(reason: StatusError): void {
    if (this.#cutReason !== undefined) return
    const notice = this.#notice
    const hears = this.#endedBy === undefined && this.#client.takesMore
    this.#endedBy ??= 'gatehouse'
    if (notice === undefined || !hears) {
      this.#destroy()
      return
    }
    this.#limit(FRAME_END_MS)
    this.#cutReason = reason
    // What the client still sends is discarded. Unread, it would reset the connection, and with it what
    // the client has not read yet.
    this.#upstream.isDeaf = true
    this.#client.socket.resume()
    if (notice.frames.isAtEnd) this.#endWithNotice(notice, reason)
  }

  /** The client has received whole frames so far. */
  #endWithNotice({ notice }: TunnelNotice, reason: StatusError): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#destroy(), FRAME_END_MS)
    this.#hasNotice = true
    this.#client.write(notice(reason))
    this.#client.end()
    this.#upstream.socket.destroy()
  }

  #destroy(): void {
    this.#client.socket.destroy()
    this.#upstream.socket.destroy()
  }

  /** Passes on what the API server has sent; the last of it, if the tunnel waits for the end of a frame. */
  #toClient(chunk: Buffer): boolean {
    const notice = this.#notice
    if (notice === undefined) return this.#client.write(chunk)
    const frameEnd = notice.frames.add(chunk)
    if (this.#cutReason === undefined || frameEnd === 0) return this.#client.write(chunk)
    this.#client.write(chunk.subarray(0, frameEnd))
    this.#endWithNotice(notice, this.#cutReason)
    return true
  }

  #attach(side: Side, other: Side): void {
    const { socket } = side
    onWriteFailure(socket, () => this.#writeFailed(side, other))
    socket.on('data', (chunk: Buffer) => {
      side.bytes += chunk.length
      const hasRoom = side === this.#upstream ? this.#toClient(chunk) : other.write(chunk)
      if (!hasRoom) socket.pause()
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
    if (this.#hasNotice) return
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
    // The end of a tunnel that was cut has a deadline of its own.
    if (this.#cutReason !== undefined) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#destroy(), milliseconds)
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

  /** Whether more can be written to it. */
  get takesMore(): boolean {
    return !this.isDeaf && !this.socket.writableEnded && !this.socket.destroyed
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
