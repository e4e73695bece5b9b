/** The operational log: JSON lines on stderr. The audit log is another thing (audit/). */
import { pino, type Logger } from 'pino'

import { ConfigError } from './config/problem.ts'

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
    serializers: { err: (error: unknown) => describeError(error) },
    formatters: { level: (label: string) => ({ level: label }) },
    redact: {
      paths: ['authorization', 'token', '*.authorization', '*.token', '*.headers'],
      censor: '[redacted]',
    },
  }
  return destination === undefined
    ? pino(options, pino.destination({ fd: 2, sync: true }))
    : pino(options, destination)
}

interface DescribedError {
  readonly type: string
  readonly message: string
  readonly code?: string
  readonly stack?: string
  readonly cause?: DescribedError
}

const MAX_CAUSES = 5

/**
 * What is logged of an error: nothing but these. Libraries hang more on them, such as the bytes that
 * a parser stumbled over, and a server may have sent a credential back in those.
 */
function describeError(error: unknown, depth = 0): DescribedError {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) }
  const { code } = error as NodeJS.ErrnoException
  return {
    type: error.name,
    message: error.message,
    ...(typeof code === 'string' ? { code } : {}),
    ...(error.stack === undefined || tellsAllWithoutStack(error) ? {} : { stack: error.stack }),
    ...(error.cause === undefined || depth >= MAX_CAUSES
      ? {}
      : { cause: describeError(error.cause, depth + 1) }),
  }
}

/** A configuration's problems are told with their places, a system's error with its call and address. */
function tellsAllWithoutStack(error: Error): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException
  return error instanceof ConfigError || (typeof code === 'string' && typeof syscall === 'string')
}

/**
 * Bounds the lines of log that others can cause: of each kind so many are told in an interval, and
 * with the first in a later one, how many were not. Undefined: not this one; else how many of its
 * kind were not told since the last that was.
 */
export type Sparingly = (kind: string) => number | undefined

export interface SparinglyOptions {
  /** Milliseconds. */
  readonly interval: number
  /** Lines of a kind in an interval. */
  readonly lines: number
  /** Milliseconds of a clock that only goes forward. */
  readonly now?: (() => number) | undefined
}

/** Makes the bound; nothing has been told yet. */
export function createSparingly(options: SparinglyOptions): Sparingly {
  const { interval, lines, now = () => performance.now() } = options
  // As many as there are kinds, which are the code's own.
  const kinds = new Map<string, { since: number; told: number; untold: number }>()
  return (kind) => {
    const at = now()
    const known = kinds.get(kind)
    if (known === undefined || at - known.since >= interval) {
      kinds.set(kind, { since: at, told: 1, untold: 0 })
      return known?.untold ?? 0
    }
    if (known.told < lines) {
      known.told += 1
      return 0
    }
    known.untold += 1
    return undefined
  }
}
