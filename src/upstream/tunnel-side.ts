import type { Duplex } from 'node:stream'

import type { ClientWindow } from './client-window.ts'
import { GatheredBody } from './http1/gathered-body.ts'
import type { Slabs } from './http1/slabs.ts'
import type { TurnEndListener } from './http1/turn-end.ts'

/** Pieces that wait for one side: of small ones, each takes more memory than it has bytes. */
const MAX_PENDING_WRITES = 16

export interface TunnelEffects {
  readonly slabs: Slabs
  readonly atTurnEnd: (listener: TurnEndListener) => void
  /** Opens the window of what one side may have received and the other not taken. */
  readonly openWindow: () => ClientWindow
}

/**
 * One of the two connections of a tunnel. What is written to it within a turn of the event loop is gathered: a write
 * of 128 KB costs little more than one of 16 KB, which is what arrives at once.
 */
export class TunnelSide implements TurnEndListener {
  readonly name: 'client' | 'upstream'
  readonly socket: Duplex
  /** Bytes received from it. */
  bytes = 0
  /** Whether its stream has ended properly. */
  hasEnded = false
  /** Whether it takes no more bytes. */
  isDeaf = false
  /** Called when it takes more, after `write` has returned false. */
  onRoom: (() => void) | undefined
  readonly #atTurnEnd: TunnelEffects['atTurnEnd']
  readonly #gathered: GatheredBody
  #waitsForTurnEnd = false
  /** Of what was written to it and not taken. */
  readonly #window: ClientWindow
  #pendingWrites = 0
  #isFull = false

  constructor(
    name: 'client' | 'upstream',
    socket: Duplex,
    { slabs, atTurnEnd, openWindow }: TunnelEffects,
  ) {
    this.name = name
    this.socket = socket
    this.#atTurnEnd = atTurnEnd
    this.#gathered = new GatheredBody(slabs)
    this.#window = openWindow()
  }

  /** Whether more can be written to it. */
  get takesMore(): boolean {
    return !this.isDeaf && !this.socket.writableEnded && !this.socket.destroyed
  }

  /** Returns false when the caller has to wait for `onRoom`. */
  write(chunk: Buffer): boolean {
    if (this.isDeaf) return true
    const hasRoom = this.#window.add(chunk.length)
    for (let at = 0; at < chunk.length;) {
      at += this.#gathered.add(chunk, at, chunk.length)
      if (this.#gathered.isFull) this.#flush()
    }
    if (!this.#waitsForTurnEnd) {
      this.#waitsForTurnEnd = true
      this.#atTurnEnd(this)
    }
    if (!hasRoom || this.#pendingWrites >= MAX_PENDING_WRITES) this.#isFull = true
    return !this.#isFull
  }

  onTurnEnd(): void {
    this.#waitsForTurnEnd = false
    this.#flush()
  }

  #flush(): void {
    const piece = this.#gathered.take()
    if (piece === undefined) return
    const { length } = piece.bytes
    this.#pendingWrites += 1
    this.socket.write(piece.bytes, () => {
      piece.giveBack?.()
      this.#taken(length)
    })
  }

  #taken(length: number): void {
    this.#pendingWrites -= 1
    const hasRoom = this.#window.remove(length)
    if (!this.#isFull || !hasRoom || this.#pendingWrites > MAX_PENDING_WRITES / 2) return
    this.#isFull = false
    this.onRoom?.()
  }

  /** Drops what was gathered: it has closed. */
  discard(): void {
    this.#gathered.discard()
    this.#window.close()
  }

  /** What was received and not yet passed on. */
  read(): Buffer | null {
    return this.socket.read() as Buffer | null
  }

  /** @param onFlushed called when everything that was written has been sent */
  end(onFlushed: () => void = () => undefined): void {
    this.#flush()
    if (this.isDeaf || this.socket.writableFinished) onFlushed()
    else if (this.socket.writableEnded) this.socket.once('finish', onFlushed)
    else this.socket.end(onFlushed)
  }
}
