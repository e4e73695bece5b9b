/** Compiles the expressions of a file, and reports where one does not compile. */
import { CelSyntaxError } from '../../cel/error.ts'
import { fieldName, valueAt, type Path } from '../../config/path.ts'
import { compileFor, type Expression, type Variable } from './expressions.ts'

/** Expressions by the name of their field. */
export type Expressions = ReadonlyMap<string, Expression>

export interface ExpressionReader {
  /** Compiles the expression at a path; a condition must be true or false. */
  read(variable: Variable, path: Path, options?: { readonly isCondition: boolean }): void
  /** The expression that was read at a path; undefined if it does not compile. */
  at(path: Path): Expression | undefined
  readonly all: Expressions
}

type Report = (path: Path, message: string, fix: string) => void

/**
 * Creates the reader of one file.
 *
 * @param raw the whole file, as it was parsed
 */
export function createExpressionReader(raw: unknown, report: Report): ExpressionReader {
  const all = new Map<string, Expression>()
  return {
    all,
    at: (path) => all.get(fieldName(path)),
    read(variable, path, { isCondition } = { isCondition: false }) {
      const text = valueAt(raw, path)
      // The schema reports another type.
      if (typeof text !== 'string') return
      try {
        const expression = compileFor(variable, text)
        if (!isCondition || expression.type === 'bool') all.set(fieldName(path), expression)
        else {
          const message = `is of type ${shownType(expression.type)}, and must be true or false`
          report(path, message, 'compare it, as in claims.admin == true')
        }
      } catch (error) {
        if (!(error instanceof CelSyntaxError)) throw error
        const message = `does not compile: ${error.message}, at ${placeIn(text, error.offset)}`
        report(path, message, `write a CEL expression over ${variable}, as kube-apiserver takes it`)
      }
    },
  }
}

function shownType(type: string): string {
  return type === 'google.protobuf.Any' ? 'any' : type
}

/** Such as `character 12`, or with several lines `line 2, character 3`. */
function placeIn(text: string, offset: number): string {
  const before = text.slice(0, offset).split('\n')
  const character = `character ${(before.at(-1) ?? '').length + 1}`
  return text.trimEnd().includes('\n') ? `line ${before.length}, ${character}` : character
}
