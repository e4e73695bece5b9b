/** Whether Gatehouse can use a file that its configuration names, before it opens it. */
import { accessSync, constants, statSync } from 'node:fs'
import { dirname } from 'node:path'

import { unsuitable } from './read-file.ts'
import { fileFault, type FileFault } from './read-text.ts'

/** Why a file cannot be read; undefined when it can. */
export function unreadable(file: string): FileFault | undefined {
  try {
    const error = unsuitable(statSync(file))
    if (error !== undefined) return fileFault(error)
    accessSync(file, constants.R_OK)
    return undefined
  } catch (error) {
    return fileFault(error)
  }
}

/** The permission to read for users who are neither the owner nor in the group. */
const READABLE_BY_OTHERS = 0o004

/** That every user of the machine can read a file that holds a secret; undefined when they cannot. */
export function readableByOthers(file: string): FileFault | undefined {
  const stats = statSync(file, { throwIfNoEntry: false })
  if (stats === undefined || (stats.mode & READABLE_BY_OTHERS) === 0) return undefined
  return [
    'holds a secret, and every user of this machine can read it',
    'run chmod o= on it; in a pod, set defaultMode: 0440 for its volume',
  ]
}

/**
 * Why a file cannot be created, appended to or renamed (when it is rotated); undefined when it can.
 * The message names the file, or its directory.
 *
 * @param access replaces `fs.accessSync`, which allows root everything
 */
export function unwritable(
  file: string,
  access: (path: string, mode: number) => void = accessSync,
): FileFault | undefined {
  const directory = dirname(file)
  if (isDirectory(file)) return [`${file} is a directory`, 'name a file in it, such as audit.log']
  if (!isDirectory(directory)) {
    return [`the directory ${directory} does not exist`, 'create it, or correct the path']
  }
  let name = `the directory ${directory}`
  try {
    access(directory, constants.W_OK | constants.X_OK)
    name = file
    // A link that loops, or a name that is too long, throws.
    const exists = statSync(file, { throwIfNoEntry: false }) !== undefined
    if (exists) access(file, constants.W_OK)
    return undefined
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return [
      `${name} cannot be written: ${code ?? 'unknown error'}`,
      'grant write permission to the user that Gatehouse runs as, or choose another path',
    ]
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}
