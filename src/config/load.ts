/** gatehouse.yaml: read, checked in itself and against the files that it names. */
import { dirname, resolve } from 'node:path'

import { checkChoices, warnOfChoices } from './choices.ts'
import { readDocument, type Source } from './document.ts'
import {
  AUDIT_FILE,
  checkFiles,
  fieldNamed,
  fieldOf,
  inputFileFields,
  type FileAt,
} from './files.ts'
import { fieldName, valueAt } from './path.ts'
import type { ConfigProblem } from './problem.ts'
import { configurationSchema, type Configuration } from './schema.ts'

export interface ConfigurationReading {
  /** Undefined when there are problems. Paths in it are absolute. */
  readonly configuration: Configuration | undefined
  readonly problems: readonly ConfigProblem[]
  /** What works, but perhaps not as meant. */
  readonly warnings: readonly ConfigProblem[]
  readonly source: Source
  /** The bare data, whether or not it is right. */
  readonly raw: unknown
  /** The path in a field, made absolute, when the file is there and can be read. */
  readonly fileAt: FileAt
  /** Every file that is named and can be read. */
  readonly files: readonly string[]
  /**
   * Gives a problem that was found in a named file as a whole the place where the document names it;
   * others stay as they are.
   */
  readonly place: (problem: ConfigProblem) => ConfigProblem
}

/** Reads the configuration; never throws. */
export function readConfiguration(file: string): ConfigurationReading {
  const reading = readDocument(file, configurationSchema)
  const { raw, value } = reading
  const named: FileAt = (field) => {
    const name = valueAt(raw, field)
    return typeof name === 'string' && name !== '' ? resolve(dirname(file), name) : undefined
  }
  const fileProblems = checkFiles(raw, reading, named)
  const unusable = new Set(fileProblems.map(({ field }) => field))
  const fileAt: FileAt = (field) => (unusable.has(fieldName(field)) ? undefined : named(field))
  const problems = [...reading.problems, ...fileProblems, ...checkChoices(raw, reading)]
  return {
    configuration:
      value === undefined || problems.length > 0 ? undefined : absolutePaths(value, dirname(file)),
    problems,
    warnings: warnOfChoices(raw, reading),
    source: reading,
    raw,
    fileAt,
    files: inputFileFields(raw).flatMap((field) => fileAt(field) ?? []),
    place: (problem) => {
      if (problem.line !== undefined) return problem
      const { field, message, fix } = problem
      const path = field === '' ? fieldOf(problem.file, raw, named) : fieldNamed(field, raw)
      return path === undefined ? problem : reading.problem(path, `${problem.file} ${message}`, fix)
    },
  }
}

/** A copy whose file fields are absolute. */
function absolutePaths(configuration: Configuration, folder: string): Configuration {
  const copy = structuredClone(configuration)
  for (const field of [...inputFileFields(copy), AUDIT_FILE]) {
    const holder = valueAt(copy, field.slice(0, -1)) as Record<string, string> | undefined
    const name = String(field.at(-1))
    const value = holder?.[name]
    if (holder !== undefined && value !== undefined) holder[name] = resolve(folder, value)
  }
  return copy
}
