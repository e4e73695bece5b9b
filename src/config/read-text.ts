import { MAX_FILE_BYTES, readRegularFile } from './read-file.ts'

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
    return readRegularFile(file).toString('utf8')
  } catch (error) {
    const [message, generalFix] = fileFault(error)
    addProblem(message, fix ?? generalFix)
    return undefined
  }
}

const KNOWN: Readonly<Record<string, FileFault>> = {
  ENOENT: ['does not exist', 'create it, or correct the path'],
  EISDIR: ['is a directory', 'name a file in it'],
  NOT_REGULAR: ['is not a regular file', 'name a file, not a pipe, socket or device'],
  TOO_LARGE: [
    `is larger than ${MAX_FILE_BYTES / 1_048_576} MiB`,
    'check that this is the file meant',
  ],
}

/** What an error of `node:fs` means for a file that was to be read. */
export function fileFault(error: unknown): FileFault {
  const { code } = error as NodeJS.ErrnoException
  const why = code ?? (error instanceof Error ? error.message : String(error))
  return KNOWN[why] ?? [`cannot be read: ${why}`, 'make it readable by Gatehouse']
}
