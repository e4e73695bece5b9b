import * as fs from 'node:fs'
import { rename, stat } from 'node:fs/promises'
import { promisify } from 'node:util'

import type { Log } from '../../log.ts'
import type { Backups } from './backups.ts'
import type { LineDevice } from './line-writer.ts'

/** How often the path is checked: logrotate may have moved the file. */
const CHECK_INTERVAL_MS = 1_000
/** How often backups are compressed and removed without a rotation. */
const MILL_INTERVAL_MS = 3_600_000
/** How long after a failed rotation the next one is tried. */
const ROTATION_RETRY_MS = 60_000

const NEWLINE = Buffer.from('\n')
// Readable, to check how the file ends; opening a FIFO this way does not wait for a reader.
const FLAGS = fs.constants.O_RDWR | fs.constants.O_APPEND | fs.constants.O_CREAT
const MODE = 0o600

const openFile = promisify(fs.open)
const closeFile = promisify(fs.close)
const syncFile = promisify(fs.fsync)

/** `fs.write`, with the signature used here. */
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
}

export interface FileDeviceEffects {
  readonly backups: Backups
  readonly log: Log
  /** `fs.write` by default. */
  readonly write?: WriteFile | undefined
}

interface OpenFile {
  readonly fd: number
  readonly dev: bigint
  readonly ino: bigint
  readonly isRegular: boolean
  size: number
  /** Whether the file ends within a line: the process was killed, or the disk was full until it ended. */
  isTorn: boolean
}

/**
 * Appends to a file. The path is reopened when another process moves the file, and the file is rotated
 * only between batches, so that no line is split across two files.
 *
 * @throws Error when the path cannot be opened
 */
export function createFileDevice(
  { path, maxBytes }: FileDeviceOptions,
  { backups, log, write = fs.write }: FileDeviceEffects,
): LineDevice {
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

  /** Opens the path again. @returns whether it is now a different file */
  async function reopen(): Promise<boolean> {
    const earlier = file
    const opened = describe(await openFile(path, FLAGS, MODE))
    const isOther = opened.dev !== earlier.dev || opened.ino !== earlier.ino
    // If it is the same file, it may end within a line that this process has yet to complete.
    file = isOther ? opened : { ...opened, isTorn: earlier.isTorn }
    await closeFile(earlier.fd).catch(() => undefined)
    return isOther
  }

  /** @param retry whether the last call failed: the descriptor itself may be broken */
  async function followPath(retry: boolean): Promise<boolean> {
    checkedAt = performance.now()
    if (checkedAt - milledAt >= MILL_INTERVAL_MS) {
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
    // Another process may have replaced the file since the last check: its file must not be renamed.
    await followPath(false)
    if (!isDue()) return
    try {
      await rename(path, await backups.nextName())
    } catch (error) {
      // A file that is too long is better than a lost record.
      rotationFailedAt = performance.now()
      log.error({ err: error }, 'the audit log cannot be rotated and keeps growing')
      return
    }
    await reopen()
    backups.mill()
  }

  return {
    async prepare({ bytes, retry, begun }) {
      let elsewhere = false
      if (retry || performance.now() - checkedAt >= CHECK_INTERVAL_MS)
        elsewhere = await followPath(retry)
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
  log.warn({ path }, 'the existing audit log can be opened by users other than its owner')
}
