import { EXIT, type ExitCode } from './exit-codes.ts'

/** What a command for users fails with: one line that says what to do, and its exit code. */
export class ClientFailure extends Error {
  readonly exitCode: ExitCode

  constructor(kind: keyof typeof EXIT, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ClientFailure'
    this.exitCode = EXIT[kind]
  }
}

const MAX_PRINTED = 300

/** A text of a server as it may be printed: without control characters, and not too long. */
export function printable(text: string): string {
  const clean = text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ').trim()
  return clean.length > MAX_PRINTED ? `${clean.slice(0, MAX_PRINTED)}…` : clean
}
