/**
 * The only way in which configuration files are read. A path may come to name something else than the
 * file that was meant: opening a FIFO waits for a writer, a device has no end, and a dump of 600 MB
 * takes all memory. So every file is looked at before it is opened, and once more when it is open.
 */
import { closeSync, constants, fstatSync, openSync, readSync, statSync, type Stats } from 'node:fs'

/** The largest file that is read. The largest sensible one is a revocation list of a large CA. */
export const MAX_FILE_BYTES = 16 * 1_048_576

/** Why a file is not read, beside the codes of `node:fs`. */
export type UnsuitableCode = 'EISDIR' | 'NOT_REGULAR' | 'TOO_LARGE'

/** A file that could be opened, but is not one to read. */
export class UnsuitableFile extends Error {
  readonly code: UnsuitableCode

  constructor(code: UnsuitableCode) {
    super(code)
    this.name = 'UnsuitableFile'
    this.code = code
  }
}

/** Why a file is not one to read; undefined when it is. */
export function unsuitable(stats: Pick<Stats, 'size' | 'isFile' | 'isDirectory'>) {
  if (stats.isDirectory()) return new UnsuitableFile('EISDIR')
  if (!stats.isFile()) return new UnsuitableFile('NOT_REGULAR')
  return stats.size > MAX_FILE_BYTES ? new UnsuitableFile('TOO_LARGE') : undefined
}

const CHUNK_BYTES = 65_536

/**
 * The content of a regular file.
 *
 * @throws UnsuitableFile, or an error of `node:fs`
 */
export function readRegularFile(file: string): Buffer {
  // Before it is opened: for a FIFO or a device, opening has effects of its own.
  assertSuitable(statSync(file))
  // It may have been replaced since: without O_NONBLOCK a FIFO would wait for its writer.
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stats = fstatSync(fd)
    assertSuitable(stats)
    return readAll(fd, stats.size)
  } finally {
    closeSync(fd)
  }
}

function assertSuitable(stats: Stats): void {
  const error = unsuitable(stats)
  if (error !== undefined) throw error
}

/** @param size as expected; a file that grows is read to its end, but not beyond the limit */
function readAll(fd: number, size: number): Buffer {
  const chunks: Buffer[] = []
  let length = 0
  for (;;) {
    const chunk = Buffer.allocUnsafe(Math.max(CHUNK_BYTES, size - length + 1))
    const read = readSync(fd, chunk)
    if (read === 0) return Buffer.concat(chunks, length)
    length += read
    if (length > MAX_FILE_BYTES) throw new UnsuitableFile('TOO_LARGE')
    chunks.push(chunk.subarray(0, read))
  }
}
