/** The operational log: JSON lines on stderr. The audit log is another thing (audit/). */
import { pino, type Logger } from 'pino'

export type Log = Logger

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export interface LogOptions {
  readonly level: LogLevel
  /** Where the lines go; stderr unless a test wants them. */
  readonly destination?: { write(line: string): void }
}

/**
 * Makes the logger. Nothing that is logged may carry a credential; the paths below are redacted in
 * case a library's error object brings its request along.
 */
export function createLog({ level, destination }: LogOptions): Log {
  const options = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: {
      paths: [
        'authorization',
        'token',
        '*.authorization',
        '*.token',
        '*.headers',
        'err.config',
        'err.request',
      ],
      censor: '[redacted]',
    },
  }
  return destination === undefined
    ? pino(options, pino.destination({ fd: 2, sync: true }))
    : pino(options, destination)
}
