/** gatehouse.yaml: read, checked in itself and against the files that it names. */
import { checkChoices, warnOfChoices } from './choices.ts'
import type { Source } from './document.ts'
import { readWithFiles, type FileAt, type FilesReading } from './files.ts'
import type { ConfigProblem } from './problem.ts'
import { configurationSchema, type Configuration } from './schema.ts'

export interface ConfigurationReading {
  /** Undefined when there are problems. Paths in it are absolute. */
  readonly configuration: Configuration | undefined
  readonly problems: readonly ConfigProblem[]
  /** Settings that are valid but probably not intended. */
  readonly warnings: readonly ConfigProblem[]
  readonly source: Source
  /** The bare data, whether or not it is valid. */
  readonly raw: unknown
  /** The absolute path in a field, when the file exists and can be used. */
  readonly fileAt: FileAt
  /** Every file to be read that exists and can be read. */
  readonly files: readonly string[]
  readonly place: FilesReading<unknown>['place']
}

/** Reads the configuration; never throws. */
export function readConfiguration(file: string): ConfigurationReading {
  const reading = readWithFiles(file, configurationSchema)
  const { raw, value, fileAt, place } = reading
  const problems = [...reading.problems, ...checkChoices(raw, reading)]
  return {
    configuration: problems.length > 0 ? undefined : value,
    problems,
    warnings: warnOfChoices(raw, reading),
    source: reading,
    raw,
    fileAt,
    files: reading.inputFiles,
    place,
  }
}
