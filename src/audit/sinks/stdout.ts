import { fstatSync, write as fsWrite } from 'node:fs'
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'

import type { Log } from '../../log.ts'
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

/**
 * Writes events as lines to the standard output. A slow or absent reader never blocks the process: a
 * pipe is written in non-blocking mode (which libuv sets), since a thread that blocks in `write(2)`
 * would keep the process from exiting; a file or a terminal is written by a thread, since
 * `process.stdout` would write it on the event loop.
 */
export function createStdoutSink(
  { maxBufferBytes }: StdoutSinkOptions,
  { log, stream }: StdoutSinkEffects,
): AuditSink {
  const device = stream === undefined ? standardOutput() : streamDevice(stream)
  return createLineWriter({ name: 'stdout', maxBufferBytes }, { device, log })
}

function standardOutput(): LineDevice {
  const stats = fstatSync(1)
  if (stats.isFIFO() || stats.isSocket()) {
    return streamDevice(new Socket({ fd: 1, readable: false, writable: true }))
  }
  return {
    prepare: () => Promise.resolve(false),
    write: (batch, offset) =>
      new Promise((resolve, reject) => {
        fsWrite(1, batch, offset, batch.length - offset, null, (error, written) => {
          if (error === null) resolve(written)
          else reject(error)
        })
      }),
    close: () => Promise.resolve(),
  }
}

/** The line writer writes one batch at a time, so the stream buffers no more than that. */
function streamDevice(stream: Writable): LineDevice {
  // The write's callback reports the error; without a listener it would crash the process.
  stream.on('error', () => undefined)
  return {
    prepare: () => Promise.resolve(false),
    write: (batch, offset) =>
      new Promise((resolve, reject) => {
        stream.write(batch.subarray(offset), (error) => {
          if (error === null || error === undefined) resolve(batch.length - offset)
          else reject(error)
        })
      }),
    // The standard output stays open: it does not belong to the sink.
    close: () => Promise.resolve(),
  }
}
