/** The operational log: JSON lines on stderr. The audit log is separate (`audit/`). */
import { pino, type Logger } from 'pino'

import { createLossyOutput, type LossyOutput } from './lossy-output.ts'
import { standardOutput } from './output.ts'

export type Log = Logger

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export interface LogOptions {
  readonly level: LogLevel
  /** Where lines are written; {@link createStderr} by default. */
  readonly destination?: { write(line: string): void }
}

/**
 * Standard error, for the log and for plain text. It is asynchronous and limited: lines that nobody reads
 * are dropped and counted, and never delay the process.
 */
export function createStderr(): LossyOutput {
  const reportDropped = (dropped: number): string =>
    `${JSON.stringify({
      level: 'warn',
      time: new Date().toISOString(),
      dropped,
      msg: 'log lines were dropped: standard error was not read fast enough',
    })}\n`
  // Opened with the first line.
  const output = { write: (bytes: Buffer) => standardOutput(2).write(bytes) }
  return createLossyOutput({ reportDropped }, { output })
}

/**
 * Creates the logger. No log line may contain a credential; the paths below are redacted in case an
 * error object of a library contains a request.
 */
export function createLog({ level, destination = createStderr() }: LogOptions): Log {
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
  return pino(options, destination)
}

interface DescribedError {
  readonly type: string
  readonly message: string
  readonly code?: string
  readonly stack?: string
  readonly cause?: DescribedError
}

const MAX_CAUSES = 5

/** What Node adds to the message for an unknown CA. Gatehouse never uses the CAs of the system there. */
const NODE_ADVICE =
  /; if the root CA is installed locally, try running Node\.js with --use-system-ca$/

/**
 * Codes that name the cause by themselves: system errors, timeouts and closed sockets of undici, and
 * certificates and handshakes that fail. Their stacks show only where the event loop was.
 */
const CLEAR_CODE =
  /^E[A-Z0-9]+$|^UND_ERR_(?:SOCKET|\w+_TIMEOUT)$|CERT|SELF_SIGNED|^UNABLE_TO|^ERR_TLS|^ERR_SSL/

/**
 * The properties of an error that are logged. Libraries add others, such as the bytes that a parser
 * rejected, and those may contain a credential that a server echoed.
 */
function describeError(error: unknown, depth = 0): DescribedError {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) }
  const { code } = error as NodeJS.ErrnoException
  return {
    type: error.name,
    message: error.message.replace(NODE_ADVICE, ''),
    ...(typeof code === 'string' ? { code } : {}),
    ...(error.stack === undefined || isClearWithoutStack(error) ? {} : { stack: error.stack }),
    ...(error.cause === undefined || depth >= MAX_CAUSES
      ? {}
      : { cause: describeError(error.cause, depth + 1) }),
  }
}

/** A configuration problem names its place in a file; other errors have a code that names the cause. */
function isClearWithoutStack(error: Error): boolean {
  const { code, syscall, needsNoStack } = error as NodeJS.ErrnoException & StacklessError
  if (needsNoStack === true) return true
  return typeof code === 'string' && (typeof syscall === 'string' || CLEAR_CODE.test(code))
}

/** An error whose message is sufficient: it is logged without its stack. */
export interface StacklessError {
  readonly needsNoStack?: boolean
}
