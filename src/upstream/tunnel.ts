/**
 * Joins two upgraded connections: bytes are copied unchanged in both directions. Whichever side breaks
 * first, what the other one has sent is delivered before the end: the exit code of a command is behind
 * the input that it did not read.
 */
import type { Duplex } from 'node:stream'

import type { StatusError } from '../status.ts'
import type { TunnelNotice } from './end-notice.ts'
import { FRAME_END_MS } from './frame-ends.ts'
import type { Landing } from './landing.ts'
import { TunnelSide, type TunnelEffects } from './tunnel-side.ts'
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
   * Ends both connections: at once, or if the client can read a notice of the reason, behind that notice
   * and between two frames of the API server.
   */
  cut(reason: StatusError): void
}

/** How long one side may keep sending or reading after the other has ended: a half-close is forwarded. */
const HALF_CLOSED_MS = 60_000
/** How long a side may take to close after the other is gone and everything was delivered. */
const LINGER_MS = 5_000

/** Two connections, each positioned after its HTTP head. */
export interface TunnelSockets {
  readonly client: Duplex
  readonly upstream: Duplex
  /** How the API server's side is read; undefined: as any socket. */
  readonly landing?: Pick<Landing, 'deliverTo'>
  /** How the client learns why Gatehouse ended the tunnel; undefined: it does not. */
  readonly notice?: TunnelNotice | undefined
}

/** Joins the two. */
export function joinTunnel(sockets: TunnelSockets, effects: TunnelEffects): Tunnel {
  return new JoinedTunnel(sockets, effects)
}

class JoinedTunnel implements Tunnel {
  readonly done: Promise<TunnelEnd>
  readonly #client: TunnelSide
  readonly #upstream: TunnelSide
  readonly #notice: TunnelNotice | undefined
  /** Why it ends, while the rest of a frame or the end of the notice is on its way. */
  #cutReason: StatusError | undefined
  /** Whether the notice was written: nothing follows it. */
  #hasNotice = false
  #endedBy: TunnelEnd['endedBy'] | undefined
  #timer: NodeJS.Timeout | undefined
  #resolve!: (end: TunnelEnd) => void

  constructor({ client, upstream, landing, notice }: TunnelSockets, effects: TunnelEffects) {
    this.#notice = notice
    this.#client = new TunnelSide('client', client, effects)
    this.#upstream = new TunnelSide('upstream', upstream, effects)
    this.done = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#attach(this.#client, this.#upstream)
    const onUpstreamData = this.#attach(this.#upstream, this.#client)
    landing?.deliverTo(onUpstreamData)
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

  /** Returns what passes on the bytes of `side`. */
  #attach(side: TunnelSide, other: TunnelSide): (chunk: Buffer) => void {
    const { socket } = side
    onWriteFailure(socket, () => this.#writeFailed(side, other))
    const onData = (chunk: Buffer): void => {
      side.bytes += chunk.length
      const hasRoom = side === this.#upstream ? this.#toClient(chunk) : other.write(chunk)
      if (!hasRoom) socket.pause()
    }
    socket.on('data', onData)
    side.onRoom = () => other.socket.resume()
    // Either may have come before, while the audit event of the response was being written.
    if (socket.readableEnded) process.nextTick(() => this.#ended(side, other))
    else socket.on('end', () => this.#ended(side, other))
    // Then it closes.
    socket.on('error', () => socket.destroy())
    if (socket.closed) process.nextTick(() => this.#closed(side, other))
    else socket.once('close', () => this.#closed(side, other))
    socket.resume()
    return onData
  }

  /** `side` takes no more, but may have sent something before. What is meant for it is discarded. */
  #writeFailed(side: TunnelSide, other: TunnelSide): void {
    this.#endedBy ??= side.name
    side.isDeaf = true
    if (side.hasEnded) side.socket.destroy()
    other.socket.resume()
    this.#limit(HALF_CLOSED_MS)
  }

  #ended(side: TunnelSide, other: TunnelSide): void {
    this.#endedBy ??= side.name
    side.hasEnded = true
    other.end()
    if (side.isDeaf) side.socket.destroy()
    this.#limit(HALF_CLOSED_MS)
  }

  #closed(side: TunnelSide, other: TunnelSide): void {
    this.#endedBy ??= side.name
    side.isDeaf = true
    side.discard()
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
