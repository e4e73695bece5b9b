/**
 * Lines for standard error or standard output that may be lost, but never delay anything: whoever should
 * read them may have stopped. Lines beyond a limited buffer are dropped and counted.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import type { Output } from './output.ts'

export interface LossyOutputOptions {
  /** Bytes that wait for the reader at most. */
  readonly maxBufferBytes?: number
  /** The line that reports dropped lines once there is room again; without it, nothing is reported. */
  readonly reportDropped?: (count: number) => string
}

export interface LossyOutputEffects {
  readonly output: Output
}

export interface LossyOutput {
  /**
   * Takes text that ends with a newline, or drops it; a text is taken whatever its length when nothing
   * waits. Never waits and never throws.
   */
  write(text: string): void
  /** How many texts were dropped since the start. */
  readonly dropped: number
  /** Resolves when everything was written, at the latest after `deadline` milliseconds. */
  flush(deadline: number): Promise<void>
}

const MAX_BUFFER_BYTES = 1_048_576
/** How long a terminal that takes nothing is left alone. */
const RETRY_MS = 20

/** Nothing is written before the first text. */
export function createLossyOutput(
  { maxBufferBytes = MAX_BUFFER_BYTES, reportDropped }: LossyOutputOptions,
  { output }: LossyOutputEffects,
): LossyOutput {
  let waiting: string[] = []
  let bytes = 0
  let dropped = 0
  let reported = 0
  let isDraining = false
  let flushed = Promise.withResolvers<undefined>()

  function enqueue(text: string): void {
    waiting.push(text)
    bytes += Buffer.byteLength(text)
    if (!isDraining) void drain()
  }

  async function drain(): Promise<void> {
    isDraining = true
    while (waiting.length > 0) {
      const texts = waiting
      waiting = []
      const batch = Buffer.from(texts.join(''))
      const isWritten = await writeAll(batch)
      bytes -= batch.length
      if (!isWritten) dropped += texts.length
      else if (reported < dropped && reportDropped !== undefined) {
        const count = dropped - reported
        reported = dropped
        enqueue(reportDropped(count))
      }
    }
    isDraining = false
    flushed.resolve(undefined)
    flushed = Promise.withResolvers<undefined>()
  }

  /** False: the output failed, and what was left of the batch is lost. */
  async function writeAll(batch: Buffer): Promise<boolean> {
    for (let offset = 0; offset < batch.length;) {
      try {
        offset += await output.write(batch.subarray(offset))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return false
        await sleep(RETRY_MS, undefined, { ref: false })
      }
    }
    return true
  }

  return {
    write(text) {
      if (bytes > 0 && bytes + text.length > maxBufferBytes) dropped += 1
      else enqueue(text)
    },
    get dropped() {
      return dropped
    },
    async flush(deadline) {
      if (!isDraining) return
      const ended = new AbortController()
      const { signal } = ended
      const timeout = sleep(deadline, undefined, { signal }).catch(() => undefined)
      await Promise.race([flushed.promise, timeout])
      ended.abort()
    },
  }
}
