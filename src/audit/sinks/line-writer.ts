import { setTimeout as sleep } from 'node:timers/promises'

import type { Log } from '../../log.ts'
import type { AuditSink } from '../record.ts'
import { createLineBuffer } from './line-buffer.ts'

/** What lines are written to. Every method but `close` may reject; then the same bytes come again. */
export interface LineDevice {
  /**
   * Called before each batch, and before what is left of one is tried again. True: what was begun
   * cannot be continued where it stands (the file is another now), so that the writer must go back
   * to the beginning of a line.
   */
  prepare(next: NextWrite): Promise<boolean>
  /** Writes some bytes of `batch` from `offset` on, and says how many: at least one. */
  write(batch: Buffer, offset: number): Promise<number>
  /** What `close` of the sink ends with, when all is written. */
  close(): Promise<void>
}

export interface NextWrite {
  /** Length of what is left of the batch. */
  readonly bytes: number
  /** The last call failed. */
  readonly retry: boolean
  /** A part of the batch has been written. */
  readonly begun: boolean
}

export interface LineWriterOptions {
  /** Of the sink: label of metrics and first word of messages. */
  readonly name: string
  readonly device: LineDevice
  readonly log: Log
  /** Bytes held at most; beyond half of it `failure()` refuses, so that open records can close. */
  readonly maxBufferBytes?: number
  /** A batch is at most that long (a single longer line excepted). */
  readonly batchBytes?: number
  /** How long a line may wait for others, in milliseconds. */
  readonly flushDelay?: number
  /** Time between tries after a failure, in milliseconds: the first, and what doubling ends at. */
  readonly retryDelay?: number
  readonly maxRetryDelay?: number
  /** How long `close` tries to write what is left, in milliseconds. */
  readonly closeTimeout?: number
}

/**
 * Gathers lines and writes them in batches, one write at a time. A failed or short write loses
 * nothing: the rest of the batch is kept and tried again, from the byte reached.
 */
export function createLineWriter(options: LineWriterOptions): AuditSink {
  const { name, device, log } = options
  const maxBufferBytes = options.maxBufferBytes ?? 16 * 1_048_576
  const flushDelay = options.flushDelay ?? 5
  const retryDelay = options.retryDelay ?? 100
  const maxRetryDelay = options.maxRetryDelay ?? 5_000
  const buffer = createLineBuffer(options.batchBytes ?? 262_144)

  let timer: NodeJS.Timeout | undefined
  let draining = false
  let batch: Buffer | undefined
  let offset = 0
  let error: string | undefined
  let nextRetry = retryDelay
  let closing: Promise<void> | undefined
  let ended = false
  let waiting: (() => void)[] = []

  function write(line: string): boolean {
    if (ended || buffer.bytes + line.length > maxBufferBytes) return false
    buffer.append(line)
    if (error !== undefined || draining) return true
    if (buffer.hasWhole) void drain()
    else timer ??= setTimeout(drainSoon, flushDelay)
    return true
  }

  function failure(): string | undefined {
    if (error !== undefined) return error
    if (ended) return 'it is closed'
    if (buffer.bytes * 2 > maxBufferBytes) {
      return `it does not take records as fast as they come: ${buffer.bytes} bytes wait`
    }
    return undefined
  }

  function drainSoon(): void {
    timer = undefined
    void drain()
  }

  async function drain(): Promise<void> {
    if (draining) return
    draining = true
    clearTimeout(timer)
    timer = undefined
    try {
      await writeWaiting()
      if (buffer.bytes > 0 && !ended) timer = setTimeout(drainSoon, flushDelay)
    } catch (cause) {
      failed(cause)
    }
    draining = false
    const settled = waiting
    waiting = []
    for (const settle of settled) settle()
  }

  async function writeWaiting(): Promise<void> {
    do {
      batch ??= buffer.take()
      while (batch !== undefined && !ended) await writeSome(batch)
      // What came meanwhile waits for company, unless somebody waits for it.
    } while (!ended && (buffer.hasWhole || (waiting.length > 0 && buffer.bytes > 0)))
  }

  async function writeSome(lines: Buffer): Promise<void> {
    if (offset === 0 || error !== undefined) {
      const elsewhere = await device.prepare({
        bytes: lines.length - offset,
        retry: error !== undefined,
        begun: offset > 0,
      })
      if (elsewhere && offset > 0) offset = lines.lastIndexOf(0x0a, offset - 1) + 1
    }
    const written = await device.write(lines, offset)
    if (written <= 0) throw new Error('nothing was written')
    recovered()
    offset += written
    if (offset < lines.length) return
    batch = undefined
    offset = 0
    buffer.release(lines)
  }

  function failed(cause: unknown): void {
    const text = cause instanceof Error ? cause.message : String(cause)
    if (error === undefined) {
      log.error({ sink: name, err: cause }, 'the audit log cannot be written')
    }
    error = text
    if (ended) return
    timer = setTimeout(drainSoon, nextRetry)
    // What waits here must not keep a process alive that does not close its audit log.
    timer.unref()
    nextRetry = Math.min(nextRetry * 2, maxRetryDelay)
  }

  function recovered(): void {
    if (error === undefined) return
    error = undefined
    nextRetry = retryDelay
    log.info({ sink: name, waiting: buffer.bytes }, 'the audit log can be written again')
  }

  /** Resolves when a pass over what waits has ended, well or not. */
  function pass(): Promise<void> {
    return new Promise((resolve) => {
      waiting.push(resolve)
      void drain()
    })
  }

  async function flush(): Promise<void> {
    if (buffer.bytes > 0) await pass()
  }

  async function finish(): Promise<void> {
    const closeTimeout = options.closeTimeout ?? 5_000
    const deadline = performance.now() + closeTimeout
    for (let left = closeTimeout; buffer.bytes > 0 && left > 0;) {
      await within(left, pass())
      if (buffer.bytes > 0) await sleep(Math.min(retryDelay, left))
      left = deadline - performance.now()
    }
    ended = true
    clearTimeout(timer)
    if (buffer.bytes > 0) {
      log.error(
        { sink: name, reason: error, bytes: buffer.bytes },
        'audit events are lost: they could not be written before the end',
      )
    }
    await within(closeTimeout, device.close())
  }

  return { name, write, failure, flush, close: () => (closing ??= finish()) }
}

/** Waits for `promise`, but no longer than `ms`: a disk may hang. */
async function within(ms: number, promise: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  try {
    await Promise.race([promise, timeout])
  } finally {
    clearTimeout(timer)
  }
}
