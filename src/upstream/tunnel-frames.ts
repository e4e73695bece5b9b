/** The frames that a server sends in a tunnel: WebSocket (RFC 6455) or SPDY/3.1. */
import type { FrameEnds } from './frame-ends.ts'
import { HeadedFrames, type ReadHead } from './headed-frames.ts'

/** Of a server's WebSocket: frames of a message that is in pieces belong together. */
export function createWebSocketMessages(): FrameEnds {
  return new HeadedFrames(readWebSocketHead)
}

/** Of a server's SPDY connection (draft-mbelshe-httpbis-spdy-00, version 3). */
export function createSpdyFrames(): FrameEnds {
  return new HeadedFrames(readSpdyHead)
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
