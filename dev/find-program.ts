import { delimiter, join } from 'node:path'
import { isExecutable } from './parts/cache.ts'

/** The path of a program in the folders of `path` (a value of PATH); undefined if it is not there. */
export async function findProgram(name: string, path: string): Promise<string | undefined> {
  for (const folder of path.split(delimiter)) {
    if (folder === '') continue
    const file = join(folder, name)
    if (await isExecutable(file)) return file
  }
  return undefined
}
