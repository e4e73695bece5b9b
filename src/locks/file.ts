import { loadDocument } from '../config/document.ts'
import type { ConfigProblem } from '../config/problem.ts'
import { describeLock, type Lock } from './lock.ts'
import { locksSchema, targetOf } from './schema.ts'

export interface LoadedLocks {
  readonly locks: readonly Lock[]
  /** Warns of locks that have ended. `now` in milliseconds since the epoch. */
  readonly warnings: (now: number) => readonly ConfigProblem[]
}

/**
 * Reads the lock file.
 *
 * @throws ConfigError with every problem found
 */
export function loadLockFile(file: string): LoadedLocks {
  const document = loadDocument(file, locksSchema)
  const locks = document.value.locks.map((entry): Lock => {
    return { ...targetOf(entry), reason: entry.reason, until: entry.until, actor: undefined }
  })
  return {
    locks,
    warnings: (now) =>
      locks.flatMap((lock, i) => {
        if (lock.until === undefined || now < lock.until) return []
        const message = `the lock of ${describeLock(lock)} has ended`
        return [
          document.problem(['locks', i, 'until'], message, 'remove it, or write a later time'),
        ]
      }),
  }
}
