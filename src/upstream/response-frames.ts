/** The frames of a response that is a stream: a watch or a log. */
import { CborSequence } from './cbor-sequence.ts'
import type { FrameEnds } from './frame-ends.ts'
import { HeadedFrames, type ReadHead } from './headed-frames.ts'

/**
 * Lines of JSON or of a log, length-delimited protobuf (apimachinery/pkg/util/framer/framer.go), or a
 * sequence of CBOR items.
 *
 * @param contentType of the response; undefined: lines
 */
export function createResponseFrames(contentType: string | undefined): FrameEnds {
  const type = contentType?.toLowerCase() ?? ''
  if (type.startsWith('application/vnd.kubernetes.protobuf')) return new HeadedFrames(readLength)
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

/** Of the length before each frame. */
const LENGTH_BYTES = 4

function readLength(head: Buffer, length: number): ReturnType<ReadHead> {
  if (length < LENGTH_BYTES) return undefined
  return { payload: head.readUInt32BE(), endsMessage: undefined }
}
