/** Those who wait until lines of a sink are in the kernel, in the order of the lines. */

export interface LineWaits {
  readonly isEmpty: boolean
  /** Bytes of whole lines were taken. */
  appended(bytes: number): void
  /** The oldest bytes that were taken, whole lines, are in the kernel. */
  wrote(bytes: number): void
  /** Resolves to true once everything that was taken so far is in the kernel; false: `fail` came first. */
  wait(): Promise<boolean>
  /** Everybody stops waiting. */
  fail(): void
}

export interface LineWaitsOptions {
  /** Milliseconds without any write after which everybody stops waiting; it may take up to twice as long. */
  readonly stallTimeout: number
}

export interface LineWaitsEffects {
  readonly onStall: (error: Error) => void
}

interface Wait {
  /** Of all bytes that were ever taken. */
  readonly end: number
  readonly resolve: (isWritten: boolean) => void
}

/** Creates an empty list; its timer runs only while somebody waits. */
export function createLineWaits(
  { stallTimeout }: LineWaitsOptions,
  { onStall }: LineWaitsEffects,
): LineWaits {
  let taken = 0
  let written = 0
  let waits: Wait[] = []
  let timer: NodeJS.Timeout | undefined
  let writtenAtTimer = 0

  function startTimer(): void {
    writtenAtTimer = written
    timer = setTimeout(check, stallTimeout).unref()
  }

  function check(): void {
    timer = undefined
    if (waits.length === 0) return
    if (written !== writtenAtTimer) startTimer()
    else onStall(new Error(`no write has ended for ${stallTimeout / 1_000} s`))
  }

  return {
    get isEmpty() {
      return waits.length === 0
    },
    appended(bytes) {
      taken += bytes
    },
    wrote(bytes) {
      written += bytes
      if (waits.length === 0) return
      let done = 0
      for (const { end, resolve } of waits) {
        if (end > written) break
        resolve(true)
        done += 1
      }
      waits = done === waits.length ? [] : waits.slice(done)
    },
    wait() {
      if (taken === written) return Promise.resolve(true)
      if (timer === undefined) startTimer()
      return new Promise((resolve) => waits.push({ end: taken, resolve }))
    },
    fail() {
      const failed = waits
      waits = []
      for (const { resolve } of failed) resolve(false)
    },
  }
}
