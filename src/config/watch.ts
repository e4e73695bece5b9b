/**
 * Tells when the content of files changed. By looking every second rather than by inotify: it sees
 * renames, symlink swaps (ConfigMaps, Secrets) and network file systems alike. What changed is loaded
 * when the next look finds it the same, so that a file is not loaded while it is being written.
 */
import { digestOfFile, type FileDigests } from './digests.ts'

export interface WatchedFiles {
  /** What is re-read, for log and metric: `rules`, `serving certificates`… */
  readonly what: string
  /** Read anew at each look, since a kubeconfig may name other files after a change. */
  readonly files: () => readonly string[]
  /** Loads anew. Throws when the new content is no good; the old stays in force then. */
  readonly reload: () => void
}

export interface Watcher {
  /** Last failure of each thing watched, cleared by the next success; for `/readyz` and the log. */
  readonly failures: () => ReadonlyMap<string, string>
  /** Looks now, and loads what changed without waiting for a second look. */
  look(): void
  stop(): void
}

export interface WatchEffects {
  readonly onReloaded: (what: string) => void
  /** Not told again of a failure that a further try finds unchanged. */
  readonly onFailed: (what: string, error: unknown) => void
}

const LOOK_EVERY_MS = 1_000

/** The longest wait, in looks, until what failed is tried again though its files stayed the same. */
const MAX_PAUSE = 64

/** Looks in a row that find another content until that is told: a change that never comes into force. */
const MAX_RESTLESS = 30

interface Watched extends WatchedFiles {
  /** Of what was loaded last, or tried, and of what the last look saw. */
  digest: string
  seen: string
  /** Looks until the next try, and how many there were to be; 0 while nothing has failed. */
  wait: number
  pause: number
  /** Looks in a row that have found another content. */
  restless: number
}

/**
 * Begins to look. What `loaded` says of a file is what was loaded of it; of other files it is what
 * they hold now.
 *
 * A reload that failed is tried again when the files change, and after 1, 2, 4 … 64 looks, since what
 * kept it from succeeding may pass without a trace in the files (too many open files, no memory).
 */
export function watchFiles(
  watched: readonly WatchedFiles[],
  effects: WatchEffects,
  loaded?: Pick<FileDigests, 'get'>,
): Watcher {
  const failures = new Map<string, string>()
  const before = (file: string): string => loaded?.get(file) ?? digestOfFile(file)
  const states = watched.map((entry): Watched => {
    const digest = digestOf(entry.files(), before)
    return { ...entry, digest, seen: digest, wait: 0, pause: 0, restless: 0 }
  })

  const reload = (state: Watched, isChanged: boolean): void => {
    try {
      // What changes while it loads is seen by the next look, as are other files that it led to.
      state.reload()
      state.pause = 0
      failures.delete(state.what)
      effects.onReloaded(state.what)
    } catch (error) {
      state.pause = isChanged ? 1 : Math.min(MAX_PAUSE, state.pause * 2)
      state.wait = state.pause
      const message = error instanceof Error ? error.message : String(error)
      const isNew = isChanged || failures.get(state.what) !== message
      failures.set(state.what, message)
      if (isNew) effects.onFailed(state.what, error)
    }
  }

  const tellRestless = ({ what }: Watched): void => {
    const error = new Error('its files change all the time, and are not loaded while they do')
    failures.set(what, error.message)
    effects.onFailed(what, error)
  }

  const look = (isSecondNeeded: boolean): void => {
    for (const state of states) {
      const digest = digestOf(state.files(), digestOfFile)
      const isSettled = digest === state.seen || !isSecondNeeded
      state.seen = digest
      if (!isSettled) {
        state.restless += 1
        if (state.restless === MAX_RESTLESS) tellRestless(state)
        continue
      }
      const isChanged = digest !== state.digest || state.restless >= MAX_RESTLESS
      state.digest = digest
      state.restless = 0
      if (isChanged) reload(state, true)
      else if (state.pause > 0 && --state.wait <= 0) reload(state, false)
    }
  }

  const timer = setInterval(look, LOOK_EVERY_MS, true)
  timer.unref()
  return { failures: () => failures, look: () => look(false), stop: () => clearInterval(timer) }
}

function digestOf(files: readonly string[], digest: (file: string) => string): string {
  return files.map(digest).join('\n')
}
