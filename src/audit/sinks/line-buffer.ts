/** Lines in their order, as UTF-8 in chunks that end at the end of a line. */
export interface LineBuffer {
  /** Bytes that were appended and are not released yet. */
  readonly bytes: number
  /** Whether a full chunk can be taken. */
  readonly hasFull: boolean
  append(line: string): void
  /** The oldest chunk, full or not, which counts until it is released; undefined when there is none. */
  take(): Buffer | undefined
  /** The chunk has been written; its memory is reused. */
  release(chunk: Buffer): void
}

/** Only slow writes need more than two chunks; the memory of the others is freed afterwards. */
const MAX_SPARE = 2

/** @param chunkBytes length of a chunk; a longer line gets a chunk of its own */
export function createLineBuffer(chunkBytes: number): LineBuffer {
  let full: Buffer[] = []
  /** Index of the first chunk of `full` that was not taken: shifting a large array is expensive. */
  let taken = 0
  const spare: Buffer[] = []
  let open: Buffer | undefined
  let used = 0
  let bytes = 0

  function seal(): void {
    if (open === undefined || used === 0) return
    full.push(open.subarray(0, used))
    open = undefined
    used = 0
  }

  function room(line: string): Buffer {
    // UTF-8 needs at most three bytes per UTF-16 unit.
    const fits = (free: number) => line.length * 3 <= free || Buffer.byteLength(line) <= free
    if (open !== undefined && !fits(open.length - used)) seal()
    if (open !== undefined) return open
    open = spare.pop() ?? Buffer.allocUnsafeSlow(chunkBytes)
    if (!fits(open.length)) {
      spare.push(open)
      open = Buffer.allocUnsafeSlow(Buffer.byteLength(line))
    }
    return open
  }

  return {
    get bytes() {
      return bytes
    },
    get hasFull() {
      return taken < full.length
    },
    append(line) {
      const chunk = room(line)
      const written = chunk.write(line, used)
      used += written
      bytes += written
      if (used === chunk.length) seal()
    },
    take() {
      if (taken === full.length) seal()
      const chunk = full[taken]
      if (chunk === undefined) return undefined
      taken++
      if (taken === full.length) {
        full = []
        taken = 0
      }
      return chunk
    },
    release(chunk) {
      bytes -= chunk.length
      if (chunk.buffer.byteLength === chunkBytes && spare.length < MAX_SPARE) {
        spare.push(Buffer.from(chunk.buffer))
      }
    },
  }
}
