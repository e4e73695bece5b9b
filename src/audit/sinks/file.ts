import type { Log } from '../../log.ts'
import type { AuditSink } from '../record.ts'
import { createBackups } from './backups.ts'
import { createFileDevice, type WriteFile } from './file-device.ts'
import { createLineWriter } from './line-writer.ts'

const MEGABYTE = 1_048_576
/** One batch is written per turn of the event loop, so long turns must not delay records. */
const BATCH_BYTES = 524_288

export interface FileSinkOptions {
  readonly path: string
  /** The file is rotated before it exceeds this size; 0: never. */
  readonly maxSizeMegabytes: number
  /** How many rotated files are kept; 0: all. */
  readonly maxBackups: number
  /** For how many days rotated files are kept; 0: forever. */
  readonly maxAgeDays: number
  /** Whether rotated files are compressed with gzip. */
  readonly compress: boolean
  /** See the line writer. */
  readonly maxBufferBytes?: number
  /** See the line writer. */
  readonly closeTimeout?: number
}

export interface FileSinkEffects {
  readonly log: Log
  /** `fs.write` by default; tests simulate failing disks with it. */
  readonly write?: WriteFile
}

/**
 * Writes events as lines to a file, which is rotated by size with the semantics of kube-apiserver's
 * `--audit-log-*` flags (lumberjack: `audit.log` becomes `audit-<UTC time>.log` next to it).
 *
 * @throws Error when the file cannot be opened for appending
 */
export function createFileSink(options: FileSinkOptions, effects: FileSinkEffects): AuditSink {
  const { path, maxSizeMegabytes, maxBufferBytes, closeTimeout } = options
  const { log, write } = effects
  const maxBytes = maxSizeMegabytes > 0 ? Math.floor(maxSizeMegabytes * MEGABYTE) : Infinity
  const backups = createBackups(options, { log })
  const device = createFileDevice({ path, maxBytes }, { backups, log, write })
  const batchBytes = Math.min(BATCH_BYTES, maxBytes)
  const limits = { batchBytes, maxBufferBytes, closeTimeout }
  return createLineWriter({ name: 'file', ...limits }, { device, log })
}
