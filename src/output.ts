/**
 * Writes to standard output and standard error that never block the event loop, nor the exit of the
 * process. `process.stdout` and `process.stderr` are not used anywhere: they write files and terminals
 * synchronously, and keep without limit what a pipe does not take.
 */
import { constants, fstatSync, openSync, write as fsWrite, type Stats } from 'node:fs'
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'

/** A destination of bytes; one write at a time. */
export interface Output {
  /** @returns how many bytes were written, at least one; rejects when none were */
  write(bytes: Buffer): Promise<number>
}

/** One descriptor must not be polled by two sockets. */
const opened = new Map<number, Output>()

/** Opens a standard stream of this process. Every call for a descriptor returns the same output. */
export function standardOutput(fd: 1 | 2): Output {
  let output = opened.get(fd)
  if (output === undefined) {
    output = open(fd)
    opened.set(fd, output)
  }
  return output
}

/**
 * A pipe is written in non-blocking mode (which libuv sets), since a thread that blocks in `write(2)`
 * would keep the process from exiting. The same holds for a terminal, whose reader may have stopped it
 * (Ctrl-S): it is opened again, since its own description is shared with other processes. A file is
 * written by a thread.
 */
function open(fd: number): Output {
  let stats: Stats
  try {
    stats = fstatSync(fd)
  } catch (cause) {
    const error = new Error(`file descriptor ${fd} is not open`, { cause })
    return { write: () => Promise.reject(error) }
  }
  if (stats.isFIFO() || stats.isSocket()) {
    return streamOutput(new Socket({ fd, readable: false, writable: true }))
  }
  return fileOutput(stats.isCharacterDevice() ? reopened(fd) : fd)
}

function reopened(fd: number): number {
  try {
    const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY
    return openSync(`/proc/self/fd/${fd}`, flags)
  } catch {
    return fd
  }
}

function fileOutput(fd: number): Output {
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        fsWrite(fd, bytes, 0, bytes.length, null, (error, written) => {
          if (error === null) resolve(written)
          else reject(error)
        })
      }),
  }
}

/** An output into a stream, which buffers no more than the one write. */
export function streamOutput(stream: Writable): Output {
  // The write's callback reports the error; without a listener it would end the process.
  stream.on('error', () => undefined)
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        stream.write(bytes, (error) => {
          if (error === null || error === undefined) resolve(bytes.length)
          else reject(error)
        })
      }),
  }
}
