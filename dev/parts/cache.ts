import { constants } from 'node:fs'
import { access, link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Where built parts are kept between runs: `$GATEHOUSE_CACHE`, else `$XDG_CACHE_HOME/gatehouse`,
 * else `~/.cache/gatehouse`. Never inside the checkout, so that a fresh clone finds them.
 */
export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const own = env['GATEHOUSE_CACHE']
  if (own !== undefined && own !== '') return own
  const base = env['XDG_CACHE_HOME']
  return join(base !== undefined && base !== '' ? base : join(homedir(), '.cache'), 'gatehouse')
}

/** The place of a part's binary of one version in the cache, whether it is there or not. */
export function binaryPath(name: string, version: string): string {
  return join(cacheDirectory(), 'bin', `${name}-${version}`)
}

/** The folder in which Go resolves a part's modules. Made if it is not there. */
export async function sourceDirectory(name: string, version: string): Promise<string> {
  const directory = join(cacheDirectory(), 'src', `${name}-${version}`)
  await mkdir(directory, { recursive: true })
  return directory
}

/** Whether a file is there and may be executed. */
export async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/**
 * Builds a file once, however many processes ask for it at the same time, and returns its path.
 * `build` writes to the temporary path that it is given; the finished file is moved into place,
 * so nobody ever sees half of one. Builds that share a `lockName` (default: the file's name) run one
 * after another. What `build` throws is passed on.
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
      await rm(temporary, { force: true })
    }
    return path
  } finally {
    await unlock()
  }
}

/**
 * Takes a lock that is a file holding its owner's process id, and returns what gives it back. The
 * lock only saves work (two builds of the same file are both right), so taking over one whose
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
      if (owner > 0 && !isAlive(owner)) await rm(path, { force: true })
      else await sleep(200)
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

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it lives and is someone else's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
