/**
 * A lock between processes, so that many kubectl commands at once make one refresh and open one window.
 *
 * A lock is a sequence of numbered files. Whoever creates the next number holds the lock, once the last
 * one was released or its holder is gone. Numbers are never reused, so two processes that both find a
 * crashed holder cannot both take its place.
 */
import {
  linkSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { ClientFailure } from '../failure.ts'
import { cannotWrite } from './write-file.ts'

const POLL_MS = 50
const HEARTBEAT_MS = 2_000
/** A holder that is alive and silent for so long is another process with the same number. */
const STALE_MS = 60_000
/** How long a file may take to get its content, on file systems without links. */
const UNREADABLE_MS = 5_000

interface LockContent {
  readonly pid: number
  readonly released?: boolean
  /** Why the holder failed; those who waited for it fail as well, and do not open a window each. */
  readonly failure?: { readonly message: string; readonly exitCode: number }
}

export interface Lock {
  /** @param failure what the holder failed with; undefined when it succeeded */
  release(failure?: unknown): void
}

export interface LockOptions {
  /** The path of the lock; `.lock.N` is added. */
  readonly name: string
  /** How long to wait for the holder. */
  readonly timeout: number
  /** Whether to go on when the holder has failed. */
  readonly ignoresFailure?: boolean
  /**
   * Since when this process wants what the lock is for, in milliseconds since the epoch; by default, since the
   * call. A holder that has failed later counts as one that this process has waited for.
   */
  readonly since?: number
}

/**
 * Takes the lock.
 *
 * @throws ClientFailure when the holder did not release it in time, or failed while this process waited,
 * or when the lock cannot be written
 */
export async function takeLock(options: LockOptions): Promise<Lock> {
  try {
    return await waitForLock(options)
  } catch (error) {
    const isOfFiles = (error as NodeJS.ErrnoException).syscall !== undefined
    throw isOfFiles ? cannotWrite(dirname(options.name), error) : error
  }
}

async function waitForLock({
  name,
  timeout,
  ignoresFailure = false,
  since = Infinity,
}: LockOptions): Promise<Lock> {
  const deadline = Date.now() + timeout
  let waitedFor = 0
  for (;;) {
    const last = lastNumber(name)
    const holder = last === 0 ? undefined : contentOf(name, last)
    if (last === 0 || isOver(name, last, holder)) {
      const waited = last === waitedFor || changedAt(name, last) >= since
      if (waited && !ignoresFailure) requireSuccess(holder)
      if (take(name, last + 1)) return heldLock(name, last + 1)
      continue
    }
    waitedFor = last
    if (Date.now() > deadline) throw stillRunning(holder)
    await sleep(POLL_MS)
  }
}

function stillRunning(holder: LockContent | undefined): ClientFailure {
  const process = holder === undefined ? '' : ` (process ${holder.pid})`
  const message = `another sign-in${process} is still running: finish it, or end it and try again`
  return new ClientFailure('signInFailed', message)
}

/** @throws ClientFailure as the holder has */
function requireSuccess(holder: LockContent | undefined): void {
  if (holder?.failure === undefined) return
  const { message, exitCode } = holder.failure
  throw Object.assign(new ClientFailure('failure', message), { exitCode })
}

function fileOf(name: string, number: number): string {
  return `${name}.lock.${number}`
}

/** The highest number so far; 0 when there is none. */
function lastNumber(name: string): number {
  return Math.max(0, ...numbers(name))
}

function numbers(name: string): number[] {
  const prefix = `${basename(name)}.lock.`
  return readdirSync(dirname(name)).flatMap((entry) => {
    const number = entry.startsWith(prefix) ? entry.slice(prefix.length) : ''
    return /^\d{1,15}$/.test(number) ? Number(number) : []
  })
}

function contentOf(name: string, number: number): LockContent | undefined {
  try {
    const content = JSON.parse(readFileSync(fileOf(name, number), 'utf8')) as LockContent
    return typeof content.pid === 'number' ? content : undefined
  } catch {
    return undefined
  }
}

/** When the file of a number was last written; -Infinity if it is gone. */
function changedAt(name: string, number: number): number {
  try {
    return statSync(fileOf(name, number)).mtimeMs
  } catch {
    return -Infinity
  }
}

function isOver(name: string, number: number, holder: LockContent | undefined): boolean {
  if (holder !== undefined && (holder.released === true || !isAlive(holder.pid))) return true
  // A file without its content may be being written.
  const limit = holder === undefined ? UNREADABLE_MS : STALE_MS
  return Date.now() - changedAt(name, number) > limit
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Creates the file of a number with its content, in one step; false when another process did. */
function take(name: string, number: number): boolean {
  const file = fileOf(name, number)
  if (!createWithContent(file, JSON.stringify({ pid: process.pid } satisfies LockContent))) {
    return false
  }
  // A slow process may create a number that was removed after later ones had been taken.
  if (lastNumber(name) === number) return true
  rmSync(file, { force: true })
  return false
}

/** Creates a file that does not exist; false when it does. */
function createWithContent(file: string, content: string): boolean {
  const draft = join(dirname(file), `.${basename(file)}.${process.pid}`)
  try {
    writeFileSync(draft, content, { mode: 0o600 })
    linkSync(draft, file)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return false
    if (code === 'ENOSPC' || code === 'EROFS' || code === 'EACCES') throw error
    return createExclusively(file, content)
  } finally {
    rmSync(draft, { force: true })
  }
}

/** For file systems without links. */
function createExclusively(file: string, content: string): boolean {
  try {
    writeFileSync(file, content, { mode: 0o600, flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function heldLock(name: string, number: number): Lock {
  const file = fileOf(name, number)
  for (const earlier of numbers(name)) {
    if (earlier < number) rmSync(fileOf(name, earlier), { force: true })
  }
  const timer = setInterval(() => {
    try {
      utimesSync(file, new Date(), new Date())
    } catch {
      // The cache was removed; whoever holds the lock goes on.
    }
  }, HEARTBEAT_MS)
  timer.unref()
  return {
    release(failure) {
      clearInterval(timer)
      const content: LockContent = {
        pid: process.pid,
        released: true,
        ...(failure instanceof ClientFailure
          ? { failure: { message: failure.message, exitCode: failure.exitCode } }
          : {}),
      }
      try {
        writeFileSync(file, JSON.stringify(content), { mode: 0o600 })
      } catch {
        // Others notice when this process has ended.
      }
    },
  }
}
