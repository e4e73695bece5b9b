/** The frames of a response that is a stream: a watch or a log. */
import { CborSequence } from './cbor-sequence.ts'
import type { FrameEnds } from './frame-ends.ts'

/**
 * Lines of JSON or of a log, length-delimited protobuf (apimachinery/pkg/util/framer/framer.go), or a
 * sequence of CBOR items.
 *
 * @param contentType of the response; undefined: lines
 */
export function createResponseFrames(contentType: string | undefined): FrameEnds {
  const type = contentType?.toLowerCase() ?? ''
  if (type.startsWith('application/vnd.kubernetes.protobuf')) return new LengthDelimitedFrames()
  if (type.startsWith('application/cbor')) return new CborSequence()
  return new Lines()
}

const NEWLINE = 0x0a

class Lines implements FrameEnds {
  isAtEnd = true

  add(chunk: Buffer): number {
    const end = chunk.lastIndexOf(NEWLINE) + 1
    if (chunk.length > 0) this.isAtEnd = end === chunk.length
    return end
  }
}

/** Bytes of the length before each frame, a big-endian number. */
const LENGTH_BYTES = 4

class LengthDelimitedFrames implements FrameEnds {
  /** Bytes of the length that were received, and its value so far. */
  #lengthBytes = 0
  #length = 0
  /** Bytes left of the frame. */
  #left = 0

  get isAtEnd(): boolean {
    return this.#lengthBytes === 0 && this.#left === 0
  }

  add(chunk: Buffer): number {
    let end = 0
    for (let at = 0; at < chunk.length;) {
      if (this.#left > 0) {
        const skipped = Math.min(this.#left, chunk.length - at)
        this.#left -= skipped
        at += skipped
        if (this.#left === 0) end = at
        continue
      }
      this.#length = this.#length * 256 + (chunk[at] ?? 0)
      this.#lengthBytes += 1
      at += 1
      if (this.#lengthBytes < LENGTH_BYTES) continue
      this.#left = this.#length
      this.#length = 0
      this.#lengthBytes = 0
      if (this.#left === 0) end = at
    }
    return end
  }
}
