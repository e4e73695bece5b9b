/** Lines in the order given, as UTF-8 in chunks that end where a line ends. */
export interface LineBuffer {
  /** Bytes appended and not yet released. */
  readonly bytes: number
  /** There is a whole chunk to take. */
  readonly hasWhole: boolean
  append(line: string): void
  /** The oldest chunk, whole or not, which stays counted until it is released; undefined when there is none. */
  take(): Buffer | undefined
  /** The chunk is written; its memory is used again. */
  release(chunk: Buffer): void
}

/** More than two are never in use unless writing lags, and then memory is given back afterwards. */
const MAX_SPARE = 2

/** @param chunkBytes length of a chunk; a longer line has a chunk of its own */
export function createLineBuffer(chunkBytes: number): LineBuffer {
  let full: Buffer[] = []
  /** First of `full` that was not taken: shifting an array of thousands of chunks costs. */
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
    // Three bytes a UTF-16 unit are the most that UTF-8 needs.
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
    get hasWhole() {
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
