/** Selects the log lines that a user who edits Gatehouse's files has to see at once. */
import { createWriteStream } from 'node:fs'

/** Receives log lines. */
export interface LogDestination {
  write(line: string): void
}

export interface LogDestinationOptions {
  /** The log file. */
  readonly file: string
}

export interface LogDestinationEffects {
  /** Prints a notice. */
  readonly notify: (notice: string) => void
}

/**
 * Writes each line to the log file, and reports the notice that {@link noticeOf} makes of it. If the
 * file cannot be written (the disk is full, the folder is already removed), lines are lost without
 * an error.
 */
export function createLogDestination(
  options: LogDestinationOptions,
  effects: LogDestinationEffects,
): LogDestination {
  const stream = createWriteStream(options.file)
  stream.on('error', () => undefined)
  return {
    write(line) {
      stream.write(line)
      const notice = noticeOf(line)
      if (notice !== undefined) effects.notify(notice)
    },
  }
}

interface LogLine {
  readonly msg?: unknown
  readonly what?: unknown
  readonly problem?: unknown
  readonly err?: { readonly message?: unknown }
}

/** The notice for a log line about a reload, or about something that does not work; undefined for every other line. */
export function noticeOf(line: string): string | undefined {
  const { msg, what, problem, err } = JSON.parse(line) as LogLine
  if (typeof problem === 'string') {
    return msg === 'configuration warning' ? `warning: ${problem}` : `${String(msg)}: ${problem}`
  }
  if (msg === 'Redis is used') return msg
  if (typeof what !== 'string') return undefined
  if (msg === 'reloaded') return `${what}: reloaded`
  if (typeof err?.message !== 'string') return undefined
  return `${what}: reload failed; the last good version stays in effect\n${indented(err.message)}`
}

function indented(text: string): string {
  return text.replace(/^/gm, '  ')
}
