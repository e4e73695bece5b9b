/** Frames that begin with a head, which says how long they are. */
import type { FrameEnds } from './frame-ends.ts'

/** @returns what the head of a frame says, of which `length` bytes were received; undefined: more is needed */
export type ReadHead = (
  head: Buffer,
  length: number,
) =>
  | {
      /** Bytes. */
      readonly payload: number
      /** Whether a message ends with the frame; undefined for a frame that is in no message. */
      readonly endsMessage: boolean | undefined
    }
  | undefined

/** The longest head: that of a masked WebSocket frame. */
const MAX_HEAD = 14

/** Frames with the length of their payload in a head. */
export class HeadedFrames implements FrameEnds {
  readonly #readHead: ReadHead
  readonly #head = Buffer.alloc(MAX_HEAD)
  #headBytes = 0
  #payloadLeft = 0
  #isInMessage = false

  constructor(readHead: ReadHead) {
    this.#readHead = readHead
  }

  get isAtEnd(): boolean {
    return this.#headBytes === 0 && this.#payloadLeft === 0 && !this.#isInMessage
  }

  add(chunk: Buffer): number {
    let end = 0
    for (let at = 0; at < chunk.length;) {
      if (this.#payloadLeft > 0) {
        const skipped = Math.min(this.#payloadLeft, chunk.length - at)
        this.#payloadLeft -= skipped
        at += skipped
      } else {
        this.#addToHead(chunk[at] ?? 0)
        at += 1
      }
      if (this.isAtEnd) end = at
    }
    return end
  }

  #addToHead(byte: number): void {
    this.#head[this.#headBytes] = byte
    this.#headBytes += 1
    const head = this.#readHead(this.#head, this.#headBytes)
    if (head === undefined) return
    this.#headBytes = 0
    this.#payloadLeft = head.payload
    if (head.endsMessage !== undefined) this.#isInMessage = !head.endsMessage
  }
}
