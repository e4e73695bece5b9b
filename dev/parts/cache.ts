import { constants } from 'node:fs'
import { access, link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isProcessAlive } from './process-alive.ts'

const LOCK_POLL_MS = 200

/**
 * The folder that keeps built parts between runs: `$GATEHOUSE_CACHE`, else
 * `$XDG_CACHE_HOME/gatehouse`, else `~/.cache/gatehouse`. It is never inside the checkout, so that a
 * fresh clone finds them.
 */
export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const own = env['GATEHOUSE_CACHE']
  if (own !== undefined && own !== '') return own
  const base = env['XDG_CACHE_HOME']
  return join(base !== undefined && base !== '' ? base : join(homedir(), '.cache'), 'gatehouse')
}

/** The path of one version of a part's binary in the cache, whether it exists or not. */
export function binaryPath(name: string, version: string): string {
  return join(cacheDirectory(), 'bin', `${name}-${version}`)
}

/** The folder in which Go resolves a part's modules. Created if it does not exist. */
export async function sourceDirectory(name: string, version: string): Promise<string> {
  const directory = join(cacheDirectory(), 'src', `${name}-${version}`)
  await mkdir(directory, { recursive: true })
  return directory
}

/** Whether a file exists and is executable. */
export async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/**
 * Builds a file or a folder once, however many processes need it at the same time, and returns its
 * path. `build` writes to the temporary path that it receives; what is finished is moved into place, so
 * that nothing partial is ever visible. Builds that share a `lockName` (default: the file's name) run
 * one after another. An error of `build` is passed on.
 */
export async function buildOnce(
  path: string,
  build: (temporary: string) => Promise<void>,
  lockName: string = basename(path),
): Promise<string> {
  if (await isExecutable(path)) return path
  await mkdir(dirname(path), { recursive: true })
  const unlock = await lock(join(cacheDirectory(), 'lock', lockName))
  try {
    if (await isExecutable(path)) return path
    const temporary = join(dirname(path), `.${basename(path)}.${process.pid}`)
    try {
      await build(temporary)
      await rename(temporary, path)
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
    return path
  } finally {
    await unlock()
  }
}

/**
 * Takes a lock, a file that holds its owner's process ID, and returns the function that releases it.
 * The lock only saves work (two builds of the same file are both correct), so taking over one whose
 * owner is dead needs no more care than this.
 */
async function lock(path: string): Promise<() => Promise<void>> {
  await mkdir(dirname(path), { recursive: true })
  const mine = `${path}.${process.pid}`
  await writeFile(mine, String(process.pid))
  try {
    // A link appears with its content, unlike a file that is created and then written.
    while (!(await linked(mine, path))) {
      const owner = Number(await readFile(path, 'utf8').catch(() => ''))
      if (owner > 0 && !isProcessAlive(owner)) await rm(path, { force: true })
      else await sleep(LOCK_POLL_MS)
    }
  } finally {
    await rm(mine, { force: true })
  }
  return () => rm(path, { force: true })
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}
