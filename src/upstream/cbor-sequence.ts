/** Sequences of CBOR items (RFC 8742), as kube-apiserver sends them in watches (KEP-4222). */
import type { FrameEnds } from './frame-ends.ts'

/** Items left of a container that ends by a `break`. */
const INDEFINITE = -1
const BREAK = 0xff
/** Kubernetes' objects are far flatter (its own limit is 64). */
const MAX_DEPTH = 512

/** Follows the structure of CBOR (RFC 8949 section 3) without decoding it. */
export class CborSequence implements FrameEnds {
  #isAtEnd = true
  /** Items left in each open container, the innermost last. */
  readonly #open: number[] = []
  /** Whether what was received is not CBOR: then no end can be found any more. */
  #isBroken = false
  #major = 0
  /** Bytes left of the argument of an item's head, and its value so far. */
  #argumentLeft = 0
  #argument = 0
  /** Bytes left of a string. */
  #stringLeft = 0

  get isAtEnd(): boolean {
    return this.#isAtEnd
  }

  add(chunk: Buffer): number {
    let end = 0
    for (let at = 0; at < chunk.length && !this.#isBroken;) {
      this.#isAtEnd = false
      if (this.#stringLeft > 0) {
        const skipped = Math.min(this.#stringLeft, chunk.length - at)
        this.#stringLeft -= skipped
        at += skipped
        if (this.#stringLeft === 0) this.#itemEnded()
      } else {
        this.#addByte(chunk[at] ?? 0)
        at += 1
      }
      if (this.isAtEnd) end = at
    }
    return end
  }

  #addByte(byte: number): void {
    if (this.#argumentLeft > 0) {
      this.#argument = this.#argument * 256 + byte
      this.#argumentLeft -= 1
      if (this.#argumentLeft === 0) this.#headEnded()
      return
    }
    if (byte === BREAK) {
      if (this.#open.pop() === INDEFINITE) this.#itemEnded()
      else this.#isBroken = true
      return
    }
    this.#major = byte >> 5
    const additional = byte & 31
    if (additional < 24) {
      this.#argument = additional
      this.#headEnded()
    } else if (additional < 28) {
      this.#argument = 0
      this.#argumentLeft = 2 ** (additional - 24)
    } else if (additional === 31 && this.#major >= 2 && this.#major <= 5) this.#begin(INDEFINITE)
    else this.#isBroken = true
  }

  #headEnded(): void {
    switch (this.#major) {
      case 2:
      case 3:
        this.#stringLeft = this.#argument
        if (this.#argument === 0) this.#itemEnded()
        break
      case 4:
        this.#begin(this.#argument)
        break
      case 5:
        this.#begin(this.#argument * 2)
        break
      case 6:
        // A tag: the item that it is about follows.
        break
      default:
        this.#itemEnded()
    }
  }

  #begin(items: number): void {
    if (items === 0) this.#itemEnded()
    else if (this.#open.length >= MAX_DEPTH) this.#isBroken = true
    else this.#open.push(items)
  }

  #itemEnded(): void {
    for (;;) {
      const left = this.#open.pop()
      if (left === undefined) {
        this.#isAtEnd = true
        return
      }
      if (left === 1) continue
      this.#open.push(left === INDEFINITE ? INDEFINITE : left - 1)
      return
    }
  }
}
