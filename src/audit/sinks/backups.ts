import { createReadStream, createWriteStream } from 'node:fs'
import { access, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'

import type { Log } from '../../log.ts'

const DAY_MS = 86_400_000
const PARTIAL = '.partial'

export interface BackupsOptions {
  /** The file that is rotated. */
  readonly path: string
  /** How many rotated files are kept; 0: all. */
  readonly maxBackups: number
  /** How long rotated files are kept; 0: forever. */
  readonly maxAgeDays: number
  readonly compress: boolean
}

/** The rotated files next to the current one. */
export interface Backups {
  /** An unused path: `audit-2026-11-25T03-28-34.123.log` (UTC) for `audit.log`. */
  nextName(): Promise<string>
  /** Removes and compresses files in the background; a call while it runs starts it again afterwards. */
  mill(): void
  /** Aborts what is running, and leaves no partial file. */
  close(): Promise<void>
}

/** One rotated file: plain, compressed, or both while it is being compressed. */
interface Backup {
  readonly time: number
  readonly names: string[]
}

/** Keeps the backups of one file as lumberjack does under kube-apiserver's `--audit-log-*` flags. */
export function createBackups(
  { path, maxBackups, maxAgeDays, compress }: BackupsOptions,
  { log }: { readonly log: Log },
): Backups {
  const directory = dirname(path)
  const extension = extname(path)
  const stem = `${basename(path, extension)}-`
  const abort = new AbortController()
  let running: Promise<void> | undefined
  let again = false
  let lastTime = 0

  function stampOf(name: string): string | undefined {
    if (!name.startsWith(stem)) return undefined
    const stamp = name.slice(stem.length, stem.length + 23)
    const rest = name.slice(stem.length + 23)
    const isOurs = rest === extension || rest === `${extension}.gz`
    return isOurs && /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}$/.test(stamp) ? stamp : undefined
  }

  /** Newest first. */
  async function list(): Promise<Backup[]> {
    const backups = new Map<string, Backup>()
    for (const name of await readdir(directory)) {
      // Nothing is being compressed now: this file is left from a process that was killed.
      const isPartial =
        name.endsWith(PARTIAL) && stampOf(name.slice(0, -PARTIAL.length)) !== undefined
      if (isPartial) await rm(join(directory, name), { force: true })
      const stamp = stampOf(name)
      if (stamp === undefined) continue
      const backup = backups.get(stamp) ?? { time: timeOf(stamp), names: [] }
      backup.names.push(name)
      backups.set(stamp, backup)
    }
    return [...backups.values()].sort((a, b) => b.time - a.time)
  }

  async function run(): Promise<void> {
    const oldest = maxAgeDays > 0 ? Date.now() - maxAgeDays * DAY_MS : -Infinity
    const kept: Backup[] = []
    for (const [index, backup] of (await list()).entries()) {
      const isKept = (maxBackups === 0 || index < maxBackups) && backup.time >= oldest
      if (isKept) kept.push(backup)
      else for (const name of backup.names) await rm(join(directory, name), { force: true })
    }
    if (!compress) return
    for (const { names } of kept) {
      const plain = names.find((name) => !name.endsWith('.gz'))
      if (plain !== undefined && !abort.signal.aborted) await compressFile(join(directory, plain))
    }
  }

  async function compressFile(plain: string): Promise<void> {
    const partial = `${plain}.gz${PARTIAL}`
    try {
      await pipeline(
        createReadStream(plain),
        createGzip(),
        createWriteStream(partial, { mode: 0o600, flush: true }),
        { signal: abort.signal },
      )
      await rename(partial, `${plain}.gz`)
      await rm(plain)
    } catch (error) {
      await rm(partial, { force: true })
      throw error
    }
  }

  function mill(): void {
    if (abort.signal.aborted) return
    if (running !== undefined) {
      again = true
      return
    }
    running = run()
      .catch((error: unknown) => {
        if (abort.signal.aborted) return
        log.warn({ err: error }, 'rotated audit logs could not be compressed or removed')
      })
      .finally(() => {
        running = undefined
        if (!again) return
        again = false
        mill()
      })
  }

  return {
    async nextName() {
      // Names only increase: a name may have been used and removed within the same millisecond.
      for (let time = Math.max(Date.now(), lastTime + 1); ; time++) {
        const name = join(directory, `${stem}${stampAt(time)}${extension}`)
        if ((await exists(name)) || (await exists(`${name}.gz`))) continue
        lastTime = time
        return name
      }
    },
    mill,
    async close() {
      abort.abort()
      await running
    },
  }
}

function stampAt(time: number): string {
  return new Date(time).toISOString().slice(0, 23).replaceAll(':', '-')
}

function timeOf(stamp: string): number {
  const [date = '', time = ''] = stamp.split('T')
  return Date.parse(`${date}T${time.replaceAll('-', ':')}Z`)
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch {
    return false
  }
}
