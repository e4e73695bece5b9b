/** What of Gatehouse's log somebody who edits its files has to see at once. */
import { createWriteStream } from 'node:fs'

/** Takes log lines. */
export interface LogDestination {
  write(line: string): void
}

/**
 * Writes the log to `file`, and what {@link noticeOf} makes of each line to `tell`. A log that cannot
 * be written holds up nothing: not when the disk is full, nor when the folder is gone already.
 */
export function createLogDestination(file: string, tell: (notice: string) => void): LogDestination {
  const stream = createWriteStream(file)
  stream.on('error', () => undefined)
  return {
    write(line) {
      stream.write(line)
      const notice = noticeOf(line)
      if (notice !== undefined) tell(notice)
    },
  }
}

interface LogLine {
  readonly msg?: unknown
  readonly what?: unknown
  readonly problem?: unknown
  readonly err?: { readonly message?: unknown }
}

/**
 * What a line of the log says of a file that was read again, or of a doubtful one; undefined for every
 * other line.
 */
export function noticeOf(line: string): string | undefined {
  const { msg, what, problem, err } = JSON.parse(line) as LogLine
  if (typeof problem === 'string') return `warning: ${problem}`
  if (typeof what !== 'string') return undefined
  if (msg === 'reloaded') return `${what}: read again, in force now`
  if (typeof err?.message !== 'string') return undefined
  return `${what}: not read again, the last good version stays in force\n${indented(err.message)}`
}

function indented(text: string): string {
  return text.replace(/^/gm, '  ')
}
