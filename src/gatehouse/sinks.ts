/** The audit sinks: which field of `audit` enables each, and how it is opened. */
import type { AuditSink } from '../audit/record.ts'
import { createFileSink } from '../audit/sinks/file.ts'
import { createStdoutSink } from '../audit/sinks/stdout.ts'
import { ConfigError, fileProblem } from '../config/problem.ts'
import type { Configuration } from '../config/schema.ts'
import type { SinkField } from '../config/schema/audit.ts'
import type { Log } from '../log.ts'

type AuditOptions = Configuration['audit']

/** A sink of one field of `audit`; undefined where the configuration does not enable it. */
type OpenSink = (audit: AuditOptions, log: Log) => AuditSink | undefined

/** By the field that enables it. A sink of the schema that is missing here does not compile. */
const sinks: Readonly<Record<SinkField, OpenSink>> = {
  file: ({ file }, log) => file && openFile(file, log),
  stdout: ({ stdout }, log) =>
    stdout?.enabled === true ? createStdoutSink({}, { log }) : undefined,
}

/**
 * Opens every sink that the configuration enables.
 *
 * @throws ConfigError when one cannot be opened
 */
export function openSinks(audit: AuditOptions, log: Log): readonly AuditSink[] {
  return Object.values(sinks).flatMap((open) => open(audit, log) ?? [])
}

function openFile(options: NonNullable<AuditOptions['file']>, log: Log): AuditSink {
  try {
    return createFileSink(options, { log })
  } catch (error) {
    throw new ConfigError([
      fileProblem(
        options.path,
        (error as Error).message,
        'choose a path that Gatehouse can write to',
        'audit.file.path',
      ),
    ])
  }
}
