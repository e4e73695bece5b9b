import { writeSync } from 'node:fs'
import { homedir } from 'node:os'

import type { ClientHost } from './host.ts'

/** The host of a Node.js process. */
export function nodeHost(node: NodeJS.Process, args: readonly string[]): ClientHost {
  return {
    args,
    env: node.env,
    platform: node.platform,
    program: { node: node.execPath, script: node.argv[1] ?? '' },
    home: homedir,
    stdin: () => node.stdin,
    stderr: () => node.stderr,
    writeOut: (text) => writeAll(1, text),
    writeError: (text) => writeAll(2, text),
  }
}

/**
 * Writes without opening a stream, which takes longer than everything else with a cached token, and in
 * order with what is asked in the terminal.
 */
function writeAll(descriptor: 1 | 2, text: string): void {
  const bytes = Buffer.from(text)
  for (let written = 0; written < bytes.length;) {
    try {
      written += writeSync(descriptor, bytes, written)
    } catch (error) {
      // The reader of a non-blocking pipe is slow, or is gone.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return
    }
  }
}
