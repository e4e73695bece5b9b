import type { Log } from '../../log.ts'
import type { AuditSink } from '../record.ts'
import { createBackups } from './backups.ts'
import { createFileDevice, type WriteFile } from './file-device.ts'
import { createLineWriter } from './line-writer.ts'

const MEGABYTE = 1_048_576
/** One write a turn of the event loop: long turns must not hold records back. */
const BATCH_BYTES = 524_288

export interface FileSinkOptions {
  readonly path: string
  /** The file is rotated before it grows beyond; 0: never. */
  readonly maxSizeMegabytes: number
  /** Rotated files kept; 0: all. */
  readonly maxBackups: number
  /** Days for which rotated files are kept; 0: for ever. */
  readonly maxAgeDays: number
  /** Whether rotated files are compressed with gzip. */
  readonly compress: boolean
  readonly log: Log
  /** Bytes held at most; see the line writer. */
  readonly maxBufferBytes?: number
  /** How long `close` tries to write what is left, in milliseconds. */
  readonly closeTimeout?: number
  /** In place of `fs.write`, for disks that fail on demand. */
  readonly write?: WriteFile
}

/**
 * Events as lines in a file, rotated by size under kube-apiserver's `--audit-log-*` semantics
 * (lumberjack: `audit.log` becomes `audit-<UTC time>.log` beside it).
 *
 * @throws Error when the file cannot be opened for appending
 */
export function createFileSink(options: FileSinkOptions): AuditSink {
  const { path, log, maxBufferBytes, closeTimeout } = options
  const maxBytes =
    options.maxSizeMegabytes > 0 ? Math.floor(options.maxSizeMegabytes * MEGABYTE) : Infinity
  const backups = createBackups({
    path,
    maxBackups: options.maxBackups,
    maxAgeDays: options.maxAgeDays,
    compress: options.compress,
    log,
  })
  const device = createFileDevice({
    path,
    maxBytes,
    backups,
    log,
    ...(options.write === undefined ? {} : { write: options.write }),
  })
  return createLineWriter({
    name: 'file',
    device,
    log,
    batchBytes: Math.min(BATCH_BYTES, maxBytes),
    ...(maxBufferBytes === undefined ? {} : { maxBufferBytes }),
    ...(closeTimeout === undefined ? {} : { closeTimeout }),
  })
}
