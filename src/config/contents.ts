/** The contents of files in effect, to recognize a version that was cut off. */
import { hash } from 'node:crypto'

import { readRegularFile } from './read-file.ts'

export type Contents = ReadonlyMap<string, Buffer>

/** Reads files; those that cannot be read, or are not regular files, are left out. */
export function readContents(files: readonly string[]): Contents {
  const contents = new Map<string, Buffer>()
  for (const file of files) {
    try {
      contents.set(file, readRegularFile(file))
    } catch {
      // Loading it reports why.
    }
  }
  return contents
}

/** The contents that still are what was loaded, by the digests of that time. */
export function unchangedContents(
  contents: Contents,
  digestOf: (file: string) => string | undefined,
): Contents {
  return new Map(
    [...contents].filter(([file, content]) => {
      const loaded = digestOf(file)
      return loaded === undefined || loaded === hash('sha256', content, 'hex')
    }),
  )
}

/** The first file whose new content is only the beginning of what is in effect. */
export function findCutOff(inEffect: Contents, next: Contents): string | undefined {
  for (const [file, content] of next) {
    const whole = inEffect.get(file)
    if (whole === undefined || content.length >= whole.length) continue
    if (whole.subarray(0, content.length).equals(content)) return file
  }
  return undefined
}
