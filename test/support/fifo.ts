/** A FIFO in place of a file, to hold up those who write to it. */
import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs'

export interface Fifo {
  /** Fills it, so that the next write to it waits. */
  fill(): void
  /** Takes what is in it, in all calls together; writes that waited go on. */
  read(): string
  close(): void
}

const PIECE = Buffer.alloc(4_096, '\n')

/** Makes the FIFO at a path. */
export function createFifo(path: string): Fifo {
  execFileSync('mkfifo', [path])
  // Open for both, so that nobody waits for the other side.
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  let text = ''
  return {
    fill() {
      untilItWouldBlock(() => writeSync(fd, PIECE))
    },
    read() {
      const buffer = Buffer.alloc(65_536)
      untilItWouldBlock(() => (text += buffer.toString('utf8', 0, readSync(fd, buffer))))
      return text
    },
    close: () => closeSync(fd),
  }
}

function untilItWouldBlock(step: () => unknown): void {
  try {
    for (;;) step()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
  }
}
