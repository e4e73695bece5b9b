import type { Writable } from 'node:stream'

import type { Log } from '../../log.ts'
import { standardOutput, streamOutput } from '../../output.ts'
import type { AuditSink } from '../record.ts'
import { createLineWriter, type LineDevice } from './line-writer.ts'

export interface StdoutSinkOptions {
  /** See the line writer. */
  readonly maxBufferBytes?: number
}

export interface StdoutSinkEffects {
  readonly log: Log
  /** File descriptor 1 by default. */
  readonly stream?: Writable
}

/** Writes events as lines to the standard output. A slow or absent reader never blocks the process. */
export function createStdoutSink(
  { maxBufferBytes }: StdoutSinkOptions,
  { log, stream }: StdoutSinkEffects,
): AuditSink {
  const output = stream === undefined ? standardOutput(1) : streamOutput(stream)
  const device: LineDevice = {
    prepare: () => Promise.resolve(false),
    write: (batch, offset) => output.write(batch.subarray(offset)),
    // The standard output stays open: it does not belong to the sink.
    close: () => Promise.resolve(),
  }
  return createLineWriter({ name: 'stdout', maxBufferBytes }, { device, log })
}
