/**
 * Finds out whether a stream is between two frames, where it may end without a watcher seeing half an
 * event: lines of JSON or of a log, length-delimited protobuf
 * (apimachinery/pkg/util/framer/framer.go), and sequences of CBOR items (RFC 8742, KEP-4222). In a
 * tunnel, what a server sends over WebSocket (RFC 6455) or SPDY/3.1.
 */

/** How long a stream that is to end may take to the end of a frame, and then to reach the client. */
export const FRAME_END_MS = 1_000

export interface FrameEnds {
  /** Whether nothing was received behind the end of a frame. */
  readonly isAtEnd: boolean
  /** Returns how many bytes of the chunk end with the last frame that ends in it; 0 when none does. */
  add(chunk: Buffer): number
}

/** @param contentType of the response; undefined: lines */
export function createFrameEnds(contentType: string | undefined): FrameEnds {
  const type = contentType?.toLowerCase() ?? ''
  if (type.startsWith('application/vnd.kubernetes.protobuf')) return new LengthDelimitedFrames()
  if (type.startsWith('application/cbor')) return new CborSequence()
  return new Lines()
}

/** Of a server's WebSocket: frames of a message that is in pieces belong together. */
export function createWebSocketMessages(): FrameEnds {
  return new HeadedFrames(readWebSocketHead)
}

export function createSpdyFrames(): FrameEnds {
  return new HeadedFrames(readSpdyHead)
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

/** Items left of a container that ends by a `break`. */
const INDEFINITE = -1
const BREAK = 0xff
/** Kubernetes' objects are far flatter (its own limit is 64). */
const MAX_DEPTH = 512

/** Follows the structure of CBOR (RFC 8949 section 3) without decoding it. */
class CborSequence implements FrameEnds {
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

/** @returns what the head of a frame says, of which `length` bytes were received; undefined: more is needed */
type ReadHead = (
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
class HeadedFrames implements FrameEnds {
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

const MASK_BYTES = 4
/** Opcodes from here on are control frames, which may stand within a message. */
const FIRST_CONTROL = 8

/** RFC 6455 section 5.2. */
function readWebSocketHead(head: Buffer, length: number): ReturnType<ReadHead> {
  const [first = 0, second = 0] = head
  if (length < 2) return undefined
  const short = second & 0x7f
  const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0
  const maskBytes = second & 0x80 ? MASK_BYTES : 0
  if (length < 2 + lengthBytes + maskBytes) return undefined
  const payload =
    lengthBytes === 8
      ? Number(head.readBigUInt64BE(2))
      : lengthBytes === 2
        ? head.readUInt16BE(2)
        : short
  const isControl = (first & 0x0f) >= FIRST_CONTROL
  return { payload, endsMessage: isControl ? undefined : (first & 0x80) !== 0 }
}

const SPDY_HEAD_BYTES = 8

/** Sections 2.2.1 and 2.2.2: control and data frames have their length in the same place. */
function readSpdyHead(head: Buffer, length: number): ReturnType<ReadHead> {
  if (length < SPDY_HEAD_BYTES) return undefined
  return { payload: head.readUIntBE(5, 3), endsMessage: true }
}
