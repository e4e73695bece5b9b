import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { binaryPath, buildOnce } from './cache.ts'
import { goBuild } from './go-build.ts'

/**
 * Builds one of our own Go programs, `dev/parts/go/<name>` or the package `name` of the module in
 * `module`, into the cache if its sources are not built yet, and returns the binary's path. Its
 * go.mod and go.sum are used as they are.
 */
export async function goProgram(name: string, module?: string): Promise<string> {
  const directory = module ?? programDirectory(name)
  return buildOnce(binaryPath(name, await digest(directory)), (output) =>
    goBuild({
      label: name,
      directory,
      package: module === undefined ? '.' : `./${name}`,
      output,
      flags: ['-mod=readonly'],
    }),
  )
}

/** Where {@link goProgram} puts the binary of the sources as they are now. */
export async function goProgramPath(name: string): Promise<string> {
  return binaryPath(name, await digest(programDirectory(name)))
}

function programDirectory(name: string): string {
  return join(import.meta.dirname, 'go', name)
}

/** A short digest over all that the compiler sees of a program's folder. */
async function digest(directory: string): Promise<string> {
  const files = await readdir(directory, { recursive: true })
  const hash = createHash('sha256')
  for (const file of files.filter((path) => /\.go$|(^|\/)go\.(mod|sum)$/.test(path)).sort()) {
    const content = await readFile(join(directory, file))
    hash.update(`${file}\0${content.length}\0`).update(content)
  }
  return hash.digest('hex').slice(0, 16)
}
