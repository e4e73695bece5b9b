import type { StacklessError } from '../log.ts'

/** A position in a file, 1-based; undefined when the whole file is meant (missing, unreadable). */
export interface Place {
  readonly line: number | undefined
  readonly column: number | undefined
}

export const WHOLE_FILE: Place = { line: undefined, column: undefined }

/** One thing wrong in a file that the administrator owns: where, what, and how to fix it. */
export interface ConfigProblem extends Place {
  readonly file: string
  /** Dotted path such as `listener.tls.minVersion` or `rules[3].verbs`; `''` for the document. */
  readonly field: string
  readonly message: string
  /** What to write instead. */
  readonly fix: string
}

/** A problem of a file as a whole. */
export function fileProblem(
  file: string,
  message: string,
  fix: string,
  /** The field of gatehouse.yaml, if the path of the file alone does not identify it. */
  field = '',
): ConfigProblem {
  return { file, ...WHOLE_FILE, field, message, fix }
}

/** Every problem of one load: file by file in the order they were read, each from top to bottom, a wrong kind first. */
export class ConfigError extends Error implements StacklessError {
  readonly needsNoStack = true
  readonly problems: readonly ConfigProblem[]

  constructor(problems: readonly ConfigProblem[]) {
    const sorted = inOrder(problems)
    super(sorted.map(formatProblem).join('\n'))
    this.name = 'ConfigError'
    this.problems = sorted
  }
}

function inOrder(problems: readonly ConfigProblem[]): readonly ConfigProblem[] {
  const files = [...new Set(problems.map(({ file }) => file))]
  return problems.toSorted(
    (a, b) =>
      files.indexOf(a.file) - files.indexOf(b.file) ||
      rankOf(a) - rankOf(b) ||
      (a.line ?? 0) - (b.line ?? 0) ||
      (a.column ?? 0) - (b.column ?? 0),
  )
}

/** In a file of another kind, that explains all other problems. */
function rankOf({ field }: ConfigProblem): number {
  return field === 'kind' ? 0 : 1
}

/** `file:line:column: field: message (fix)` */
export function formatProblem({ file, line, column, field, message, fix }: ConfigProblem): string {
  const where = line === undefined ? file : `${file}:${line}:${column ?? 1}`
  return `${where}: ${field === '' ? '' : `${field}: `}${message} (${fix})`
}
