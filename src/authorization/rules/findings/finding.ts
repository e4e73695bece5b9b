import type { LoadedDocument } from '../../../config/document.ts'
import type { Path } from '../../../config/path.ts'
import type { AccessRules } from '../schema.ts'

export type RulesDocument = LoadedDocument<AccessRules>

/**
 * Something about a rule that is not as intended, and what to write instead. It keeps the file from
 * loading if it is certain, and is a warning if it is likely.
 */
export interface Finding {
  readonly isCertain: boolean
  readonly path: Path
  readonly message: string
  readonly fix: string
}

/** A finding about one value, whose path the caller knows. */
export type ValueFinding = Omit<Finding, 'path'>

/** A finding that keeps the file from loading. */
export function certain(message: string, fix: string): ValueFinding {
  return { isCertain: true, message, fix }
}

/** A finding that is a warning. */
export function likely(message: string, fix: string): ValueFinding {
  return { isCertain: false, message, fix }
}

/** The finding about the value at a path, as a list. */
export function at(path: Path, findings: ValueFinding | undefined): Finding[] {
  return findings === undefined ? [] : [{ ...findings, path }]
}
