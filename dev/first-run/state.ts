/** The folder of a run: each run has its own below `.gatehouse/` of the checkout. */
import { mkdir, mkdtemp, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { isProcessAlive } from '../parts/process-alive.ts'

/** A folder (0700) for one run. */
export interface RunFolder {
  readonly directory: string
  /** Removes the folder, and its parent when no other run uses that. */
  remove(): Promise<void>
}

const OWNER_FILE = 'owner'

/**
 * Creates a folder below `parent`. Folders of runs whose process was killed are removed first; those
 * of runs on other machines, which may share the parent, stay.
 */
export async function createRunFolder(parent: string): Promise<RunFolder> {
  await mkdir(parent, { recursive: true, mode: 0o700 })
  await removeLeftovers(parent)
  const directory = await mkdtemp(join(parent, 'run-'))
  await writeFile(join(directory, OWNER_FILE), `${process.pid} ${hostname()}`)
  return {
    directory,
    remove: async () => {
      await rm(directory, { recursive: true, force: true, maxRetries: 3 })
      // Fails while another run has its folder there, which is fine.
      await rmdir(parent).catch(() => undefined)
    },
  }
}

async function removeLeftovers(parent: string): Promise<void> {
  const names = (await readdir(parent)).filter((name) => name.startsWith('run-'))
  for (const name of names) {
    const directory = join(parent, name)
    const owner = await readFile(join(directory, OWNER_FILE), 'utf8').catch(() => '')
    const [pid = '', host = ''] = owner.split(' ')
    if (host === hostname() && !isProcessAlive(Number(pid))) {
      await rm(directory, { recursive: true, force: true })
    }
  }
}
