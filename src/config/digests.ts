/** Digests of files. Asking again is cheap while `stat` shows that a file was not touched. */
import { hash } from 'node:crypto'
import { statSync } from 'node:fs'

import { readRegularFile } from './read-file.ts'

/** The digests of files at one time. */
export interface FileDigests {
  get(file: string): string | undefined
  /** Adds the current digests of files that are not in it yet; true if there was one. */
  add(files: readonly string[]): boolean
}

/** The current digests of these files. */
export function digestsOf(files: readonly string[]): FileDigests {
  const digests = new Map<string, string>()
  const add = (others: readonly string[]): boolean => {
    const unseen = others.filter((file) => !digests.has(file))
    for (const file of unseen) digests.set(file, digestOfFile(file))
    return unseen.length > 0
  }
  add(files)
  return { get: (file) => digests.get(file), add }
}

/** By file, the result of `stat` and the digest of the content at that time. */
const known = new Map<string, { readonly stat: string; readonly digest: string }>()

/** A file that was touched this recently may change again and keep its timestamp. */
const RACY_MS = 2_000

/** The SHA-256 of a file in hex; for a file that cannot be read, the error code. */
export function digestOfFile(file: string): string {
  try {
    const { dev, ino, size, ctimeNs, ctimeMs } = statSync(file, { bigint: true })
    const stat = `${dev}:${ino}:${size}:${ctimeNs}`
    const earlier = known.get(file)
    if (earlier?.stat === stat) return earlier.digest
    const digest = hash('sha256', readRegularFile(file), 'hex')
    if (Date.now() - Number(ctimeMs) > RACY_MS) known.set(file, { stat, digest })
    return digest
  } catch (error) {
    return `unreadable: ${(error as NodeJS.ErrnoException).code ?? ''}`
  }
}
