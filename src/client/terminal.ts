import { createInterface } from 'node:readline/promises'

import { ClientFailure } from './failure.ts'
import type { ClientHost } from './host.ts'

/** Talks to the user. Standard output is for results only, so everything here is on standard error. */
export interface Terminal {
  /** Whether somebody can answer. */
  readonly isInteractive: boolean
  /** Prints a line. */
  print(line: string): void
  /**
   * Reads a line, without a limit of the terminal driver on its length. Rejects with the reason of the
   * signal when it is aborted.
   *
   * @throws ClientFailure after Ctrl-C, or at the end of the input
   */
  ask(question: string, signal?: AbortSignal): Promise<string>
}

/** @param mayAsk false when the input belongs to another program */
export function createTerminal(host: ClientHost, mayAsk: boolean): Terminal {
  const isInteractive = mayAsk && host.stdin().isTTY
  return {
    isInteractive,
    print: (line) => host.writeError(`${line}\n`),
    async ask(question, signal) {
      const lines = createInterface({ input: host.stdin(), output: host.stderr(), terminal: true })
      const interrupted = new Promise<never>((_resolve, reject) => {
        lines.once('SIGINT', () => reject(new ClientFailure('interrupted', 'canceled')))
        lines.once('close', () => reject(new ClientFailure('signInFailed', 'the input has ended')))
      })
      try {
        const options = signal === undefined ? {} : { signal }
        return await Promise.race([lines.question(question, options), interrupted])
      } finally {
        interrupted.catch(() => undefined)
        lines.close()
      }
    },
  }
}

/** Asks a question to which only "y" and "yes" agree. */
export async function confirm(terminal: Terminal, question: string): Promise<boolean> {
  const reply = await terminal.ask(`${question} [y/N] `)
  return /^y(?:es)?$/i.test(reply.trim())
}
