/**
 * Tells when the content of files changed. By looking every few seconds rather than by inotify: it
 * sees renames, symlink swaps (ConfigMaps, Secrets) and network file systems alike.
 */
import { hash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'

export interface WatchedFiles {
  /** What is re-read, for log and metric: `rules`, `serving certificate`… */
  readonly what: string
  /** Read anew at each look, since a kubeconfig may name other files after a change. */
  readonly files: () => readonly string[]
  /** Loads anew. Throws when the new content is no good; the old stays in force then. */
  readonly reload: () => void
}

export interface Watcher {
  /** Last failure of each thing watched, cleared by the next success; for `/readyz` and the log. */
  readonly failures: () => ReadonlyMap<string, string>
  /** Looks now, without waiting for the next turn. */
  look(): void
  stop(): void
}

export interface WatchEffects {
  readonly onReloaded: (what: string) => void
  readonly onFailed: (what: string, error: unknown) => void
}

export const LOOK_EVERY_MS = 1_000

/** Begins to look; what is there now counts as loaded. */
export function watchFiles(watched: readonly WatchedFiles[], effects: WatchEffects): Watcher {
  const failures = new Map<string, string>()
  const states = watched.map((entry) => ({ ...entry, digest: digestOf(entry.files()) }))

  const look = (): void => {
    for (const state of states) {
      const digest = digestOf(state.files())
      // A file that is away for a moment is being replaced; the next look finds the new one.
      if (digest === state.digest) continue
      state.digest = digest
      try {
        // What changes while it loads is seen by the next look, as are other files that it led to.
        state.reload()
        failures.delete(state.what)
        effects.onReloaded(state.what)
      } catch (error) {
        failures.set(state.what, error instanceof Error ? error.message : String(error))
        effects.onFailed(state.what, error)
      }
    }
  }

  const timer = setInterval(look, LOOK_EVERY_MS)
  timer.unref()
  return { failures: () => failures, look, stop: () => clearInterval(timer) }
}

function digestOf(files: readonly string[]): string {
  return files.map(digestOfFile).join('\n')
}

/** By file: what `stat` said, and the digest of what was read then. */
const known = new Map<string, { readonly stat: string; readonly digest: string }>()

/** A file that was touched this recently may change again without a new time stamp. */
const RACY_MS = 2_000

function digestOfFile(file: string): string {
  try {
    const { dev, ino, size, ctimeNs, ctimeMs } = statSync(file, { bigint: true })
    const stat = `${dev}:${ino}:${size}:${ctimeNs}`
    const before = known.get(file)
    if (before?.stat === stat) return before.digest
    const digest = hash('sha256', readFileSync(file), 'hex')
    if (Date.now() - Number(ctimeMs) > RACY_MS) known.set(file, { stat, digest })
    return digest
  } catch (error) {
    return `unreadable: ${(error as NodeJS.ErrnoException).code ?? ''}`
  }
}
