import { cp, mkdir, symlink } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'

import { output } from './command.ts'

const root = resolve(import.meta.dirname, '../..')

/** What `npm ci` and builds make, and what git keeps. */
const NOT_COPIED = new Set(['node_modules', 'dist', 'coverage', '.git'])

/** The tests' environment with their Node first on the PATH: `gatehouse` starts with `env node`. */
export const nodeFirst = {
  ...process.env,
  PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
}

/**
 * Runs `npm pack` in a copy of the checkout below `folder`, since two builds in the same place would
 * remove each other's files. Returns the path of the tarball.
 */
export async function packPackage(folder: string): Promise<string> {
  const copy = join(folder, 'checkout')
  await mkdir(copy)
  await cp(root, copy, { recursive: true, filter: (path) => !NOT_COPIED.has(relative(root, path)) })
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
  const pack = ['pack', '--silent', '--pack-destination', folder]
  const name = await output('npm', pack, { cwd: copy, env: nodeFirst })
  return join(folder, name.trim().split('\n').at(-1) ?? '')
}
