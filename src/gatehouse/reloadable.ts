import type { CertificateReport } from './certificate-report.ts'

/** A part of the configuration that is read from files: rules, issuers, certificates, a credential. */
export interface Part<T> {
  /** What it is, for the log and metrics: `rules`, `serving certificates`, … */
  readonly what: string
  /** The files to watch. `current` is what was loaded last: a kubeconfig may name other files. */
  readonly files: (current: T) => readonly string[]
  /**
   * @param current what is in effect; undefined at the start
   * @throws ConfigError with every problem found
   */
  readonly load: (current?: T) => T
  /** Warnings, and what expires. `now` in milliseconds since the epoch. */
  readonly report: (value: T, now: number) => PartReport
}

/** Expirations only where the part holds certificates. */
export type PartReport = Pick<CertificateReport, 'warnings'> & Partial<CertificateReport>

/** A part with what it held when Gatehouse started. */
export interface LoadedPart<T> {
  readonly part: Part<T>
  readonly value: T
}

/**
 * A part in effect. Starting is `apply(load())`, and a reload is the same call: what does not load
 * changes nothing.
 */
export interface Reloadable {
  readonly what: string
  readonly files: () => readonly string[]
  /** A promise where what was read has to be tried before it may come into effect. */
  readonly load: () => unknown
  /** Throws as `load` does when what is in the files is not valid; nothing is tried or kept. */
  readonly check: () => void
  /** Puts what was loaded into effect; when that fails, it throws and the previous value stays. */
  readonly apply: (next: unknown) => void
  /** Reports on what is in effect. `now` in milliseconds since the epoch. */
  readonly report: (now: number) => PartReport
}

/**
 * Puts a loaded part into effect, for the first time.
 *
 * @param probe tries what a reload has read; when it rejects, the previous value stays
 */
export function startReloadable<T>(
  { part, value }: LoadedPart<T>,
  apply: (next: T) => void,
  probe?: (next: T) => Promise<void>,
): Reloadable {
  let current = value
  apply(value)
  return {
    what: part.what,
    files: () => part.files(current),
    load() {
      const next = part.load(current)
      return probe === undefined ? next : probe(next).then(() => next)
    },
    check: () => void part.load(current),
    apply(next) {
      // The value always comes from `load` of the same part.
      apply(next as T)
      current = next as T
    },
    report: (now) => part.report(current, now),
  }
}
