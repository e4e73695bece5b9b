import { fstatSync, write as fsWrite } from 'node:fs'
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'

import type { Log } from '../../log.ts'
import type { AuditSink } from '../record.ts'
import { createLineWriter, type LineDevice } from './line-writer.ts'

export interface StdoutSinkOptions {
  readonly log: Log
  /** Where lines go instead of file descriptor 1. */
  readonly stream?: Writable
  /** Bytes held at most; see the line writer. */
  readonly maxBufferBytes?: number
}

/**
 * Events as lines on the standard output. A reader that is slow, or gone, never blocks the process:
 * a pipe is written without blocking (libuv makes it so), since a thread that waits in `write(2)`
 * would keep the process from ending; a file or terminal is written by a thread, since
 * `process.stdout` would write it on the event loop.
 */
export function createStdoutSink(options: StdoutSinkOptions): AuditSink {
  const { log, maxBufferBytes } = options
  return createLineWriter({
    name: 'stdout',
    device: options.stream === undefined ? standardOutput() : streamDevice(options.stream),
    log,
    ...(maxBufferBytes === undefined ? {} : { maxBufferBytes }),
  })
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

/** One batch at a time: the stream itself never holds more. */
function streamDevice(stream: Writable): LineDevice {
  // The write's callback reports the error; without a listener it would end the process.
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
    // The standard output is not ours to close.
    close: () => Promise.resolve(),
  }
}
