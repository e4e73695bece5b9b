import * as fs from 'node:fs'
import { rename, stat } from 'node:fs/promises'
import { promisify } from 'node:util'

import type { Log } from '../../log.ts'
import type { Backups } from './backups.ts'
import type { LineDevice } from './line-writer.ts'

/** How often the path is looked at, in milliseconds: logrotate may have moved the file away. */
const CHECK_MS = 1_000
/** How often old backups are looked for without a rotation, and a failed rotation is tried again. */
const MILL_MS = 3_600_000
const ROTATION_RETRY_MS = 60_000

const NEWLINE = Buffer.from('\n')
// Read too, to see how the file ends; a FIFO opened so does not wait for its reader.
const FLAGS = fs.constants.O_RDWR | fs.constants.O_APPEND | fs.constants.O_CREAT
const MODE = 0o600

const openFile = promisify(fs.open)
const closeFile = promisify(fs.close)
const syncFile = promisify(fs.fsync)

/** `fs.write`, in the form used here. */
export type WriteFile = (
  fd: number,
  buffer: Buffer,
  offset: number,
  length: number,
  position: null,
  callback: (error: NodeJS.ErrnoException | null, written: number) => void,
) => void

export interface FileDeviceOptions {
  readonly path: string
  /** The file is rotated before a batch that would make it longer. */
  readonly maxBytes: number
  readonly backups: Backups
  readonly log: Log
  readonly write?: WriteFile
}

interface OpenFile {
  readonly fd: number
  readonly dev: bigint
  readonly ino: bigint
  readonly isRegular: boolean
  size: number
  /** The file ends within a line: a process was killed, or the disk was full to the end. */
  isTorn: boolean
}

/**
 * A file that is appended to, follows its path when somebody else moves the file, and is rotated
 * between batches only, so that no line stands in two files.
 *
 * @throws Error when the path cannot be opened
 */
export function createFileDevice(options: FileDeviceOptions): LineDevice {
  const { path, maxBytes, backups, log } = options
  const write = options.write ?? fs.write
  let file = openNow(path)
  warnWhenReadable(file.fd, path, log)
  let checkedAt = performance.now()
  let milledAt = checkedAt
  let rotationFailedAt = -Infinity
  backups.mill()

  function writeBytes(bytes: Buffer, offset: number): Promise<number> {
    return new Promise((resolve, reject) => {
      write(file.fd, bytes, offset, bytes.length - offset, null, (error, written) => {
        if (error !== null) {
          reject(error)
          return
        }
        file.size += written
        resolve(written)
      })
    })
  }

  /** Opens what the path names now. True: it is another file than before. */
  async function reopen(): Promise<boolean> {
    const before = file
    const opened = describe(await openFile(path, FLAGS, MODE))
    const isOther = opened.dev !== before.dev || opened.ino !== before.ino
    // The same file ends within a line only where this process will go on.
    file = isOther ? opened : { ...opened, isTorn: before.isTorn }
    await closeFile(before.fd).catch(() => undefined)
    return isOther
  }

  /** @param retry after a failure the descriptor itself may be what is broken */
  async function followPath(retry: boolean): Promise<boolean> {
    checkedAt = performance.now()
    if (checkedAt - milledAt >= MILL_MS) {
      milledAt = checkedAt
      backups.mill()
    }
    if (retry || !(await isStillThere())) return reopen()
    return false
  }

  async function isStillThere(): Promise<boolean> {
    try {
      const { dev, ino, size } = await stat(path, { bigint: true })
      if (dev !== file.dev || ino !== file.ino) return false
      file.size = Number(size)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
      throw error
    }
  }

  async function rotateBefore(bytes: number): Promise<void> {
    const isDue = () => file.isRegular && file.size > 0 && file.size + bytes > maxBytes
    if (!isDue() || performance.now() - rotationFailedAt < ROTATION_RETRY_MS) return
    // Somebody may have moved the file since the last look: theirs must not be renamed.
    await followPath(false)
    if (!isDue()) return
    try {
      await rename(path, await backups.nextName())
    } catch (error) {
      // A long file is better than no record; the operator is told.
      rotationFailedAt = performance.now()
      log.error({ err: error }, 'the audit log cannot be rotated, and grows')
      return
    }
    await reopen()
    backups.mill()
  }

  return {
    async prepare({ bytes, retry, begun }) {
      let elsewhere = false
      if (retry || performance.now() - checkedAt >= CHECK_MS) elsewhere = await followPath(retry)
      if (!begun) await rotateBefore(bytes)
      if (file.isTorn && (elsewhere || !begun)) {
        await writeBytes(NEWLINE, 0)
        file.isTorn = false
      }
      return elsewhere
    },
    write: writeBytes,
    async close() {
      await backups.close()
      await syncFile(file.fd).catch(() => undefined)
      await closeFile(file.fd).catch(() => undefined)
    },
  }
}

function openNow(path: string): OpenFile {
  try {
    return describe(fs.openSync(path, FLAGS, MODE))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(`the audit log cannot be opened for writing: ${why}`, { cause: error })
  }
}

function describe(fd: number): OpenFile {
  try {
    const stats = fs.fstatSync(fd, { bigint: true })
    const size = stats.isFile() ? Number(stats.size) : 0
    const isTorn = size > 0 && lastByte(fd, size) !== NEWLINE[0]
    return { fd, dev: stats.dev, ino: stats.ino, isRegular: stats.isFile(), size, isTorn }
  } catch (error) {
    fs.closeSync(fd)
    throw error
  }
}

function lastByte(fd: number, size: number): number | undefined {
  const byte = Buffer.alloc(1)
  fs.readSync(fd, byte, 0, 1, size - 1)
  return byte[0]
}

function warnWhenReadable(fd: number, path: string, log: Log): void {
  const stats = fs.fstatSync(fd)
  if (!stats.isFile() || (stats.mode & 0o077) === 0) return
  log.warn({ path }, 'the audit log was there before, and others than its owner may open it')
}
