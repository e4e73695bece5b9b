/**
 * Reloads files whose content changed. They are polled every second instead of watched by inotify, so
 * that renames, symlink swaps (ConfigMaps, Secrets) and network file systems all work. A changed file
 * is loaded once the next poll finds it unchanged, so that it is not loaded while it is being written.
 */
import { digestOfFile, type FileDigests } from './digests.ts'

export interface WatchedFiles {
  /** What is reloaded, for the log and the metrics: `rules`, `serving certificates`… */
  readonly what: string
  /** Called at each poll, since a kubeconfig may name other files after a change. */
  readonly files: () => readonly string[]
  /**
   * Throws, or returns a promise that rejects, when the new content is not valid; the last good version
   * then stays in effect.
   * `isStopped` says whether the watcher was stopped while a promise was pending.
   */
  readonly reload: (isStopped: () => boolean) => unknown
}

export interface Watcher {
  /** The last failure by `what`, cleared by the next success; for `/readyz`. */
  readonly failures: () => ReadonlyMap<string, string>
  /** Polls now, and loads what changed without waiting for a second poll. */
  poll(): void
  stop(): void
}

export interface WatchOptions {
  readonly watched: readonly WatchedFiles[]
  /** The digests of what was loaded at the start. */
  readonly loaded?: Pick<FileDigests, 'get'>
}

export interface WatchEffects {
  readonly onReloaded: (what: string) => void
  /** Not called again when a retry fails in the same way. */
  readonly onFailed: (what: string, error: unknown) => void
}

const POLL_INTERVAL_MS = 1_000

/** The longest pause, in polls, before a failed reload of unchanged files is retried. */
const MAX_PAUSE = 64

/** After this many polls in a row that find other content, the reload counts as failed. */
const MAX_UNSETTLED = 30

interface Watched extends WatchedFiles {
  /** The digest of the last load, failed or not. */
  digest: string
  /** The digest at the last poll. */
  seen: string
  /** Polls left until the next retry. */
  wait: number
  /** Polls between the last failure and its retry; 0 while nothing has failed. */
  pause: number
  /** Polls in a row that found other content. */
  unsettled: number
  /** Whether a reload is under way; the next one waits for its end. */
  isLoading: boolean
}

/**
 * Starts polling. A file that `loaded` does not know counts as loaded with its current content.
 *
 * A failed reload is retried when the files change and after 1, 2, 4 … 64 polls, since its cause may
 * disappear without a change of the files (too many open files, out of memory).
 */
export function watchFiles({ watched, loaded }: WatchOptions, effects: WatchEffects): Watcher {
  const failures = new Map<string, string>()
  const atStart = (file: string): string => loaded?.get(file) ?? digestOfFile(file)
  const states = watched.map((entry): Watched => {
    const digest = digestOf(entry.files(), atStart)
    return { ...entry, digest, seen: digest, wait: 0, pause: 0, unsettled: 0, isLoading: false }
  })

  let stopped = false

  const noteSuccess = (state: Watched): void => {
    state.pause = 0
    failures.delete(state.what)
    effects.onReloaded(state.what)
  }

  const noteFailure = (state: Watched, isChanged: boolean, error: unknown): void => {
    state.pause = isChanged ? 1 : Math.min(MAX_PAUSE, state.pause * 2)
    state.wait = state.pause
    const message = error instanceof Error ? error.message : String(error)
    const isNew = isChanged || failures.get(state.what) !== message
    failures.set(state.what, message)
    if (isNew) effects.onFailed(state.what, error)
  }

  const reload = (state: Watched, isChanged: boolean): void => {
    try {
      // The next poll sees changes made during the load, and files that are named since then.
      const loading = state.reload(() => stopped)
      if (loading instanceof Promise) void settle(state, isChanged, loading)
      else noteSuccess(state)
    } catch (error) {
      noteFailure(state, isChanged, error)
    }
  }

  const settle = async (state: Watched, isChanged: boolean, loading: Promise<unknown>) => {
    state.isLoading = true
    try {
      await loading
      if (!stopped) noteSuccess(state)
    } catch (error) {
      if (!stopped) noteFailure(state, isChanged, error)
    } finally {
      state.isLoading = false
    }
  }

  const reportUnsettled = ({ what }: Watched): void => {
    const error = new Error(
      'the files keep changing, and are loaded only after a second without a change',
    )
    failures.set(what, error.message)
    effects.onFailed(what, error)
  }

  const poll = (mustSettle: boolean): void => {
    for (const state of states) {
      if (state.isLoading) continue
      const digest = digestOf(state.files(), digestOfFile)
      const isSettled = digest === state.seen || !mustSettle
      state.seen = digest
      if (!isSettled) {
        state.unsettled += 1
        if (state.unsettled === MAX_UNSETTLED) reportUnsettled(state)
        continue
      }
      const isChanged = digest !== state.digest || state.unsettled >= MAX_UNSETTLED
      state.digest = digest
      state.unsettled = 0
      if (isChanged) reload(state, true)
      else if (state.pause > 0 && --state.wait <= 0) reload(state, false)
    }
  }

  const timer = setInterval(poll, POLL_INTERVAL_MS, true)
  timer.unref()
  return {
    failures: () => failures,
    poll: () => poll(false),
    stop() {
      stopped = true
      clearInterval(timer)
    },
  }
}

function digestOf(files: readonly string[], digest: (file: string) => string): string {
  return files.map(digest).join('\n')
}
