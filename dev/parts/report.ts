import { basename } from 'node:path'

/** Writes a line about the progress of a build to stderr. */
export function report(line: string): void {
  process.stderr.write(`[${basename(import.meta.dirname)}] ${line}\n`)
}
