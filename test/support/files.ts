import { rename, writeFile } from 'node:fs/promises'

/** Replaces a file atomically, by a rename. */
export async function replaceFile(file: string, content: string): Promise<void> {
  await writeFile(`${file}.new`, content, { mode: 0o600 })
  await rename(`${file}.new`, file)
}
