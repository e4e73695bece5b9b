/**
 * Reloads files whose content changed. They are polled every second instead of watched by inotify, so
 * that renames, symlink swaps (ConfigMaps, Secrets) and network file systems all work. A changed file
 * is loaded once the next poll finds it unchanged, so that it is not loaded while it is being written.
 *
 * A file that is only the beginning of the version in effect is loaded after 30 seconds without a
 * change: it was probably cut off, and a part of a good file may be a good file, such as rules without
 * the last ones.
 */
import { findCutOff, readContents, unchangedContents, type Contents } from './contents.ts'
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
  /** Throws when the new content is not valid; puts nothing into effect. */
  readonly check: () => void
}

export interface Watcher {
  /** The last failure by `what`, cleared by the next success; for `/readyz`. */
  readonly failures: () => ReadonlyMap<string, string>
  /** The files that look cut off and are not loaded yet, by `what`; for `/readyz`. */
  readonly held: () => ReadonlyMap<string, string>
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
  /** A file looks cut off, and is not loaded yet. */
  readonly onHeld: (what: string, file: string) => void
}

const POLL_INTERVAL_MS = 1_000

/** The longest pause, in polls, before a failed reload of unchanged files is retried. */
const MAX_PAUSE = 64

/** After this many polls in a row that find other content, the reload counts as failed. */
const MAX_UNSETTLED = 30

/** How long a file that looks cut off must stay the same until it is loaded. */
const HOLD_MS = 30_000

interface Held {
  readonly file: string
  readonly digest: string
  readonly since: number
}

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
  /** What is in effect. */
  contents: Contents
  /** A version that looks cut off and waits to be loaded. */
  held: Held | undefined
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
    const files = entry.files()
    const digest = digestOf(files, atStart)
    const contents = unchangedContents(readContents(files), (file) => loaded?.get(file))
    return {
      ...entry,
      digest,
      seen: digest,
      wait: 0,
      pause: 0,
      unsettled: 0,
      contents,
      held: undefined,
      isLoading: false,
    }
  })

  let stopped = false

  const noteSuccess = (state: Watched, contents: Contents): void => {
    state.contents = contents
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
      const contents = readContents(state.files())
      // The next poll sees changes made during the load, and files that are named since then.
      const loading = state.reload(() => stopped)
      if (loading instanceof Promise) void settle(state, isChanged, contents, loading)
      else noteSuccess(state, contents)
    } catch (error) {
      noteFailure(state, isChanged, error)
    }
  }

  const settle = async (
    state: Watched,
    isChanged: boolean,
    contents: Contents,
    loading: Promise<unknown>,
  ) => {
    state.isLoading = true
    try {
      await loading
      if (!stopped) noteSuccess(state, contents)
    } catch (error) {
      if (!stopped) noteFailure(state, isChanged, error)
    } finally {
      state.isLoading = false
    }
  }

  /** Whether a changed version looks cut off, and has not been there for long enough. */
  const isHeld = (state: Watched, digest: string): boolean => {
    if (state.held?.digest !== digest) {
      state.held = undefined
      const file = findCutOff(state.contents, readContents(state.files()))
      if (file === undefined || !isValid(state)) return false
      state.held = { file, digest, since: performance.now() }
      effects.onHeld(state.what, file)
    }
    return performance.now() - state.held.since < HOLD_MS
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
      state.unsettled = 0
      if (isChanged && isHeld(state, digest)) continue
      state.held = undefined
      state.digest = digest
      if (isChanged) reload(state, true)
      else if (state.pause > 0 && --state.wait <= 0) reload(state, false)
    }
  }

  const timer = setInterval(poll, POLL_INTERVAL_MS, true)
  timer.unref()
  return {
    failures: () => failures,
    held() {
      const held = new Map<string, string>()
      for (const state of states) {
        if (state.held !== undefined) held.set(state.what, state.held.file)
      }
      return held
    },
    poll: () => poll(false),
    stop() {
      stopped = true
      clearInterval(timer)
    },
  }
}

/** What is not valid is not held, so that its problem is reported without delay. */
function isValid({ check }: Watched): boolean {
  try {
    check()
    return true
  } catch {
    return false
  }
}

function digestOf(files: readonly string[], digest: (file: string) => string): string {
  return files.map(digest).join('\n')
}
