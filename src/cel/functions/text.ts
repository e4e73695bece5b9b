const ASCII_ONLY = /^[\0-\x7f]*$/

/** Whether a text has only ASCII characters. */
export function isAscii(text: string): boolean {
  return ASCII_ONLY.test(text)
}

/** The characters of a text: CEL counts Unicode code points, JavaScript UTF-16 code units. */
export function characters(text: string): ArrayLike<string> & Iterable<string> {
  return isAscii(text) ? text : Array.from(text)
}

/** The characters from `start` up to `end`, as `characters` counts them. */
export function slice(text: string, start: number, end?: number): string {
  if (isAscii(text)) return text.slice(start, end)
  return Array.from(text).slice(start, end).join('')
}
