import { readFileSync } from 'node:fs'

/** The parts of a ConfigProblem that say what is wrong with a file; the file is their subject. */
export type FileFault = readonly [message: string, fix: string]

/**
 * The text of a file (UTF-8). Returns undefined, after adding a problem, for a file that cannot be read.
 *
 * @param fix replaces the general advice
 */
export function readText(
  file: string,
  addProblem: (...fault: FileFault) => void,
  fix?: string,
): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const [message, generalFix] = fileFault(error)
    addProblem(message, fix ?? generalFix)
    return undefined
  }
}

export const IS_DIRECTORY: FileFault = ['is a directory', 'name a file in it']

const KNOWN: Readonly<Record<string, FileFault>> = {
  ENOENT: ['does not exist', 'create it, or correct the path'],
  EISDIR: IS_DIRECTORY,
}

/** What an error of `node:fs` means for a file that was to be read. */
export function fileFault(error: unknown): FileFault {
  const { code } = error as NodeJS.ErrnoException
  const why = code ?? (error instanceof Error ? error.message : String(error))
  return KNOWN[why] ?? [`cannot be read: ${why}`, 'make it readable by Gatehouse']
}
