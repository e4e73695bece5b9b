/** Changes kubeconfig files as kubectl does: under its locks, each file in one step. */
import { closeSync, mkdirSync, openSync, realpathSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { ClientFailure } from '../failure.ts'
import { cannotWrite, replaceFile } from '../session/write-file.ts'
import { readKubeconfig, type KubeconfigDocument } from './document.ts'

const LOCK_TIMEOUT_MS = 5_000
const LOCK_POLL_MS = 100

/**
 * Reads the files, lets `change` change them, and writes those that were changed.
 *
 * @throws ClientFailure when a file cannot be read or written; no file has changed then, unless a later
 * one of several cannot be written
 */
export async function updateKubeconfigs<T>(
  paths: readonly string[],
  change: (documents: readonly KubeconfigDocument[]) => T,
): Promise<T> {
  const locked: string[] = []
  try {
    // Sorted as in client-go, so that two programs never wait for each other.
    for (const path of [...paths].sort()) {
      await lock(path)
      locked.push(path)
    }
    const documents = paths.map(readKubeconfig)
    const result = change(documents)
    const changed = documents.filter(({ isChanged }) => isChanged)
    for (const { path } of changed) requireWritable(path)
    for (const document of changed) replaceFile(targetOf(document.path), document.text())
    return result
  } finally {
    for (const path of locked) rmSync(`${path}.lock`, { force: true })
  }
}

/** @throws ClientFailure for a file that its owner has made read-only */
export function requireWritable(path: string): void {
  try {
    // Renaming a new file over it would succeed, and so would root.
    if ((statSync(path).mode & 0o200) !== 0) return
  } catch {
    return
  }
  throw new ClientFailure('file', `cannot write ${path}: the file is read-only: chmod u+w ${path}`)
}

/** The lock of client-go (tools/clientcmd/loader.go): a file beside it. */
async function lock(path: string): Promise<void> {
  const deadline = Date.now() + LOCK_TIMEOUT_MS
  for (;;) {
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o750 })
      closeSync(openSync(`${path}.lock`, 'wx', 0o600))
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw cannotWrite(path, error)
    }
    if (Date.now() > deadline) {
      throw new ClientFailure(
        'file',
        `cannot write ${path}: another program is writing it; if there is none, remove ${path}.lock`,
      )
    }
    await sleep(LOCK_POLL_MS)
  }
}

/** A link stays a link. */
function targetOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
