/** Where a run keeps its files: a folder of its own below `.gatehouse/` of the checkout. */
import { mkdir, mkdtemp, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'

/** A folder for one run, 0700. */
export interface RunFolder {
  readonly directory: string
  /** Removes it, and the folder around it once no other run has one there. */
  remove(): Promise<void>
}

const ownerFile = 'owner'

/**
 * Makes it below `parent`. What runs left there whose process was killed is removed first; those of
 * other machines, to which the folder may be mounted too, stay.
 */
export async function createRunFolder(parent: string): Promise<RunFolder> {
  await mkdir(parent, { recursive: true, mode: 0o700 })
  await removeLeftovers(parent)
  const directory = await mkdtemp(join(parent, 'run-'))
  await writeFile(join(directory, ownerFile), `${process.pid} ${hostname()}`)
  return {
    directory,
    remove: async () => {
      await rm(directory, { recursive: true, force: true, maxRetries: 3 })
      // Another run's folder in it is no mistake.
      await rmdir(parent).catch(() => undefined)
    },
  }
}

async function removeLeftovers(parent: string): Promise<void> {
  const names = (await readdir(parent)).filter((name) => name.startsWith('run-'))
  for (const name of names) {
    const directory = join(parent, name)
    const owner = await readFile(join(directory, ownerFile), 'utf8').catch(() => '')
    const [pid = '', host = ''] = owner.split(' ')
    if (host === hostname() && !isRunning(Number(pid))) {
      await rm(directory, { recursive: true, force: true })
    }
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
