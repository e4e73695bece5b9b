import { rename, writeFile } from 'node:fs/promises'

/** Replaces a file as careful programs do it: it is there and whole at any moment. */
export async function replaceFile(file: string, content: string): Promise<void> {
  await writeFile(`${file}.new`, content, { mode: 0o600 })
  await rename(`${file}.new`, file)
}
