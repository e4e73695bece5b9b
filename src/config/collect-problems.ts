import { ConfigError, type ConfigProblem } from './problem.ts'

export interface ProblemCollection {
  /** What a loader returns; undefined when it throws a ConfigError, whose problems are kept. */
  of<T>(load: () => T): T | undefined
  /**
   * A result of `of`.
   *
   * @throws ConfigError with all problems that were kept
   */
  value<T>(result: T | undefined): T
}

/** Several loaders in one round: all of them run, whichever of them fail. */
export function collectProblems(): ProblemCollection {
  const problems: ConfigProblem[] = []
  return {
    of(load) {
      try {
        return load()
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        problems.push(...error.problems)
        return undefined
      }
    },
    value(result) {
      if (problems.length > 0 || result === undefined) throw new ConfigError(problems)
      return result
    },
  }
}
