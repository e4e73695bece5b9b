/**
 * Gathers a response body, which arrives in records of at most 16 KB or in small chunks, into few large
 * pieces: a piece that is written to a client costs about the same, whatever its size.
 */
import { SLAB_BYTES, type Slab, type Slabs } from './slabs.ts'

/** Up to this size a piece is copied out of its slab, which would be mostly empty. */
const MAX_COPIED = 32_768

export interface Piece {
  readonly bytes: Buffer
  /** To be called once nobody reads the bytes any more; undefined when they belong to nobody else. */
  readonly giveBack: (() => void) | undefined
}

/** The body of one response after another. */
export class GatheredBody {
  readonly #slabs: Slabs
  #maxCopied = MAX_COPIED
  #slab: Slab | undefined
  /** Bytes that were added to the slab and not taken. */
  #pending = 0

  constructor(slabs: Slabs) {
    this.#slabs = slabs
  }

  /** @param copies whether every piece is copied: the receiver of a stream may keep parts of it */
  begin(copies: boolean): void {
    this.discard()
    this.#maxCopied = copies ? SLAB_BYTES : MAX_COPIED
  }

  get isEmpty(): boolean {
    return this.#pending === 0
  }

  get isFull(): boolean {
    return this.#pending === SLAB_BYTES
  }

  /**
   * Copies bytes, as many as there is room for.
   *
   * @returns the number of bytes copied
   */
  add(bytes: Buffer, from: number, to: number): number {
    this.#slab ??= this.#slabs.take()
    const copied = bytes.copy(this.#slab.bytes, this.#pending, from, to)
    this.#pending += copied
    return copied
  }

  /** Takes all pending bytes; undefined when there are none. */
  take(): Piece | undefined {
    const slab = this.#slab
    if (slab === undefined) return undefined
    const pending = slab.bytes.subarray(0, this.#pending)
    this.#slab = undefined
    this.#pending = 0
    if (pending.length > this.#maxCopied) return { bytes: pending, giveBack: slab.giveBack }
    const bytes = Buffer.from(pending)
    slab.giveBack()
    return { bytes, giveBack: undefined }
  }

  /** Drops pending bytes. */
  discard(): void {
    this.#slab?.giveBack()
    this.#slab = undefined
    this.#pending = 0
  }
}
