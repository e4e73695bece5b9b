import { setTimeout as sleep } from 'node:timers/promises'

import type { Log } from '../../log.ts'
import type { AuditSink } from '../record.ts'
import { createLineBuffer } from './line-buffer.ts'
import { createLineWaits } from './line-waits.ts'

/** The destination of lines. All methods but `close` may reject; then the same bytes are written again. */
export interface LineDevice {
  /**
   * Called before each batch, and before the rest of a batch is retried.
   *
   * @returns true when the rest cannot be appended to what was written, because the destination is now
   * a different file: the writer continues from the start of a line
   */
  prepare(next: NextWrite): Promise<boolean>
  /** Writes bytes of `batch` from `offset` on. @returns how many were written, at least one */
  write(batch: Buffer, offset: number): Promise<number>
  /** Called last when the sink is closed. */
  close(): Promise<void>
}

export interface NextWrite {
  /** Length of the rest of the batch. */
  readonly bytes: number
  /** Whether the last call failed. */
  readonly retry: boolean
  /** Whether a part of the batch has been written. */
  readonly begun: boolean
}

export interface LineWriterOptions {
  /** Name of the sink, in metric labels and messages. */
  readonly name: string
  /**
   * Bytes that are buffered at most. Beyond half of it `failure()` reports a problem. The auditor opens
   * no record whose events would not fit, so this also limits how many requests can be open.
   */
  readonly maxBufferBytes?: number | undefined
  /** Bytes of a batch at most, except for a single longer line. */
  readonly batchBytes?: number | undefined
  /** Milliseconds that a line may wait for others. */
  readonly flushDelay?: number | undefined
  /** Milliseconds from a failure to the first retry, and the maximum that it doubles to. */
  readonly retryDelay?: number | undefined
  readonly maxRetryDelay?: number | undefined
  /** Milliseconds for which `close` tries to write what is buffered. */
  readonly closeTimeout?: number | undefined
  /** Milliseconds without progress after which `written` gives up, and the sink counts as failed. */
  readonly stallTimeout?: number | undefined
}

export interface LineWriterEffects {
  readonly device: LineDevice
  readonly log: Log
}

/**
 * Collects lines and writes them in batches, one write at a time. A failed or partial write loses
 * nothing: the rest of the batch is kept, and retried from the first byte that was not written.
 */
export function createLineWriter(
  options: LineWriterOptions,
  { device, log }: LineWriterEffects,
): AuditSink {
  const { name } = options
  const maxBufferBytes = options.maxBufferBytes ?? 64 * 1_048_576
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
  /** The next turn of the event loop begins to write, so that all lines of this one are written together. */
  let soon: NodeJS.Immediate | undefined
  const waits = createLineWaits(
    { stallTimeout: options.stallTimeout ?? 5_000 },
    { onStall: (stalled) => report(stalled) },
  )

  function write(line: string): boolean {
    const bytes = Buffer.byteLength(line)
    if (ended || buffer.bytes + bytes > maxBufferBytes) return false
    buffer.append(line)
    waits.appended(bytes)
    if (error !== undefined || draining) return true
    if (buffer.hasFull) void drain()
    else timer ??= setTimeout(drainSoon, flushDelay)
    return true
  }

  function written(): Promise<boolean> {
    if (ended || error !== undefined) return Promise.resolve(false)
    if (!draining) soon ??= setImmediate(drainSoon)
    return waits.wait()
  }

  function failure(): string | undefined {
    if (error !== undefined) return error
    if (ended) return 'the sink is closed'
    if (buffer.bytes * 2 > maxBufferBytes) {
      return `records arrive faster than they can be written: ${buffer.bytes} bytes are buffered`
    }
    return undefined
  }

  function drainSoon(): void {
    timer = undefined
    soon = undefined
    void drain()
  }

  async function drain(): Promise<void> {
    if (draining) return
    draining = true
    clearTimeout(timer)
    timer = undefined
    clearImmediate(soon)
    soon = undefined
    try {
      await writeWaiting()
      if (buffer.bytes > 0 && !ended) {
        if (waits.isEmpty) timer = setTimeout(drainSoon, flushDelay)
        else soon = setImmediate(drainSoon)
      }
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
      // Lines that arrived meanwhile wait for a full batch, unless something waits for them.
    } while (!ended && (buffer.hasFull || (isAwaited() && buffer.bytes > 0)))
  }

  const isAwaited = (): boolean => waiting.length > 0 || !waits.isEmpty

  async function writeSome(lines: Buffer): Promise<void> {
    if (offset === 0 || error !== undefined) {
      const elsewhere = await device.prepare({
        bytes: lines.length - offset,
        retry: error !== undefined,
        begun: offset > 0,
      })
      if (elsewhere && offset > 0) offset = lines.lastIndexOf(0x0a, offset - 1) + 1
    }
    const bytes = await device.write(lines, offset)
    if (bytes <= 0) throw new Error('the write returned 0 bytes')
    recovered()
    offset += bytes
    if (offset < lines.length) return
    batch = undefined
    offset = 0
    waits.wrote(lines.length)
    buffer.release(lines)
  }

  function report(cause: unknown): void {
    if (error === undefined) {
      log.error({ sink: name, err: cause }, 'the audit log cannot be written')
    }
    error = cause instanceof Error ? cause.message : String(cause)
    waits.fail()
  }

  function failed(cause: unknown): void {
    report(cause)
    if (ended) return
    timer = setTimeout(drainSoon, nextRetry)
    // The retry must not keep a process alive that does not close its audit log.
    timer.unref()
    nextRetry = Math.min(nextRetry * 2, maxRetryDelay)
  }

  function recovered(): void {
    if (error === undefined) return
    error = undefined
    nextRetry = retryDelay
    log.info({ sink: name, bytes: buffer.bytes }, 'the audit log can be written again')
  }

  /** Resolves when an attempt to write what is buffered has ended, successfully or not. */
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
    clearImmediate(soon)
    waits.fail()
    if (buffer.bytes > 0) {
      log.error(
        { sink: name, reason: error, bytes: buffer.bytes },
        'audit events were lost: they could not be written before shutdown',
      )
    }
    await within(closeTimeout, device.close())
  }

  const room = (): number => (ended ? 0 : maxBufferBytes - buffer.bytes)

  const close = (): Promise<void> => (closing ??= finish())

  return { name, write, written, failure, room, flush, close }
}

/** Waits for `promise`, for at most `ms` milliseconds: a disk may hang. */
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
