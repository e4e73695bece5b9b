import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'

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
  /** As `ask`, without showing what is typed. */
  askSecret(question: string): Promise<string>
}

/** @param mayAsk false when the input belongs to another program */
export function createTerminal(host: ClientHost, mayAsk: boolean): Terminal {
  const isInteractive = mayAsk && host.stdin().isTTY
  return {
    isInteractive,
    print: (line) => host.writeError(`${line}\n`),
    ask: (question, signal) => read(question, host.stderr(), signal),
    async askSecret(question) {
      const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
      try {
        // Printed once the terminal has stopped to echo: whoever sees it may already be typing.
        return await read('', nowhere, undefined, () => host.writeError(question))
      } finally {
        host.writeError('\n')
      }
    },
  }

  async function read(
    question: string,
    output: NodeJS.WritableStream,
    signal?: AbortSignal,
    onReading?: () => void,
  ): Promise<string> {
    // It switches the terminal's own echo off.
    const lines = createInterface({ input: host.stdin(), output, terminal: true, historySize: 0 })
    onReading?.()
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
  }
}

/** Asks a question to which only "y" and "yes" agree. */
export async function confirm(terminal: Terminal, question: string): Promise<boolean> {
  const reply = await terminal.ask(`${question} [y/N] `)
  return /^y(?:es)?$/i.test(reply.trim())
}
