/** Loads parts of the configuration again when their files change, and reports on them. */
import type { FileDigests } from '../config/digests.ts'
import { formatProblem, type ConfigProblem } from '../config/problem.ts'
import { watchFiles, type Watcher } from '../config/watch.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { recordExpirations } from './certificate-report.ts'
import type { Reloadable } from './reloadable.ts'

export interface ReloadsOptions {
  readonly reloadables: readonly Reloadable[]
  /** What the files held when they were loaded. */
  readonly digests: FileDigests
}

export interface ReloadsEffects {
  readonly log: Log
  readonly metrics: Metrics
  /** Something was reloaded: readiness should be checked again. */
  readonly onReloaded: () => void
}

/** Begins to watch the files of what is in effect; stop the watcher at the end. */
export function startReloads(
  { reloadables, digests }: ReloadsOptions,
  { log, metrics, onReloaded }: ReloadsEffects,
): Watcher {
  // What was loaded at the start is the first success.
  for (const { what, report } of reloadables) {
    recordSuccess(metrics, what)
    recordExpirations(metrics, report(Date.now()))
  }
  const watched = reloadables.map(({ what, files, load, check, apply, report }) => ({
    what,
    files,
    check,
    reload(isStopped: () => boolean) {
      const put = (next: unknown): void => {
        if (isStopped()) return
        apply(next)
        const now = report(Date.now())
        logWarnings(now.warnings, log)
        recordExpirations(metrics, now)
      }
      const next = load()
      if (next instanceof Promise) return next.then(put)
      put(next)
      return undefined
    },
  }))
  return watchFiles(
    { watched, loaded: digests },
    {
      onReloaded(what) {
        metrics.reloads.inc({ what, result: 'ok' })
        recordSuccess(metrics, what)
        log.info({ what }, 'reloaded')
        onReloaded()
      },
      onFailed(what, error) {
        metrics.reloads.inc({ what, result: 'failed' })
        metrics.lastReloadSuccessful.set({ what }, 0)
        log.error({ what, err: error }, 'reload failed; the last good version stays in effect')
      },
      onHeld(what, file) {
        log.warn({ what, file }, 'a changed file looks cut off; it is loaded in 30 s')
      },
    },
  )
}

function recordSuccess(metrics: Metrics, what: string): void {
  metrics.lastReloadSuccessful.set({ what }, 1)
  metrics.lastReloadSuccess.set({ what }, Date.now() / 1_000)
}

/** Logs settings that are valid but probably not intended, a line each. */
export function logWarnings(warnings: readonly ConfigProblem[], log: Log): void {
  for (const warning of warnings)
    log.warn({ problem: formatProblem(warning) }, 'configuration warning')
}
