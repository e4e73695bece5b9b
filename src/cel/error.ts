/** Why an expression does not compile, and where in its text. */
export class CelSyntaxError extends Error {
  /** Of the first character that is wrong, from 0, in UTF-16 code units. */
  readonly offset: number

  constructor(offset: number, message: string) {
    super(message)
    this.name = 'CelSyntaxError'
    this.offset = offset
  }
}

/** Why an expression has no value for its input. `&&`, `||`, `all` and `exists` may absorb it. */
export class CelValueError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'CelValueError'
  }
}

/** The evaluation has cost more than it may. Nothing absorbs it. */
export class CelCostError extends Error {
  constructor(limit: number) {
    super(`the evaluation exceeds the cost limit of ${limit}`)
    this.name = 'CelCostError'
  }
}

/** Runs `evaluate`, and returns the error of a value that cannot be computed as a value. */
export function valueOrError<T>(evaluate: () => T): T | CelValueError {
  try {
    return evaluate()
  } catch (error) {
    if (error instanceof CelValueError) return error
    throw error
  }
}
