/** What files hold, as digests: cheap to ask again while a file was not touched. */
import { hash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'

/** By file, what it held at a certain moment. */
export interface FileDigests {
  get(file: string): string | undefined
  /** Takes in what others hold now; true when there was one that is not known yet. */
  add(files: readonly string[]): boolean
}

/** What these files hold now. */
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

/** By file: what `stat` said, and the digest of what was read then. */
const known = new Map<string, { readonly stat: string; readonly digest: string }>()

/** A file that was touched this recently may change again without a new time stamp. */
const RACY_MS = 2_000

/** Of a file that cannot be read: why. */
export function digestOfFile(file: string): string {
  try {
    const { dev, ino, size, ctimeNs, ctimeMs } = statSync(file, { bigint: true })
    const stat = `${dev}:${ino}:${size}:${ctimeNs}`
    const before = known.get(file)
    if (before?.stat === stat) return before.digest
    const digest = hash('sha256', readFileSync(file), 'hex')
    if (Date.now() - Number(ctimeMs) > RACY_MS) known.set(file, { stat, digest })
    return digest
  } catch (error) {
    return `unreadable: ${(error as NodeJS.ErrnoException).code ?? ''}`
  }
}
