import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { binaryPath, buildOnce } from './cache.ts'
import { goBuild } from './go-build.ts'

/**
 * Builds a Go program of this repository, `dev/parts/go/<name>` or the package `name` of the module
 * in the folder `module`, into the cache if these sources are not built yet, and returns the binary's
 * path. Its go.mod and go.sum are used unchanged.
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

/** The path at which {@link goProgram} puts the binary of the current sources. */
export async function goProgramPath(name: string): Promise<string> {
  return binaryPath(name, await digest(programDirectory(name)))
}

function programDirectory(name: string): string {
  return join(import.meta.dirname, 'go', name)
}

/** A short digest of all files in a program's folder that the compiler reads. */
async function digest(directory: string): Promise<string> {
  const files = await readdir(directory, { recursive: true })
  const hash = createHash('sha256')
  for (const file of files.filter((path) => /\.go$|(^|\/)go\.(mod|sum)$/.test(path)).sort()) {
    const content = await readFile(join(directory, file))
    hash.update(`${file}\0${content.length}\0`).update(content)
  }
  return hash.digest('hex').slice(0, 16)
}
