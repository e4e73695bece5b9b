import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { randomBytes } from 'node:crypto'

import { ClientFailure } from '../failure.ts'

/**
 * Replaces a file in one step, for its owner only: after a crash or with a full disk, there is the old
 * content or the new one.
 *
 * @throws ClientFailure when it cannot be written; nothing has changed then
 */
export function replaceFile(file: string, content: string): void {
  const draft = `${file}.${randomBytes(6).toString('hex')}.new`
  try {
    const descriptor = openSync(draft, 'wx', 0o600)
    try {
      writeAll(descriptor, Buffer.from(content))
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(draft, file)
  } catch (error) {
    rmSync(draft, { force: true })
    throw cannotWrite(file, error)
  }
}

function writeAll(descriptor: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length;) {
    written += writeSync(descriptor, bytes, written)
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EDQUOT: 'the quota of the disk is used up',
  EISDIR: 'it is a directory',
  ENOENT: 'it does not exist',
  ENOSPC: 'the disk is full',
  ENOTDIR: 'a part of the path is not a directory',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
}

/** The failure for a file that cannot be written. */
export function cannotWrite(file: string, error: unknown): ClientFailure {
  const { code } = error as NodeJS.ErrnoException
  // Node reports a directory that cannot be created on a read-only file system in this way.
  const isMissing = code === 'ENOENT'
  const reason = isMissing ? 'its directory cannot be created' : reasonOf(error)
  return new ClientFailure('file', `cannot write ${file}: ${reason}`, { cause: error })
}

/** The failure for a file of the user that cannot be read. */
export function cannotRead(file: string, error: unknown): ClientFailure {
  return new ClientFailure('file', `cannot read ${file}: ${reasonOf(error)}`, { cause: error })
}

function reasonOf(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException
  return REASONS[code] ?? message
}
