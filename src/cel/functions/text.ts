const ASCII_ONLY = /^[\0-\x7f]*$/

/** The characters of a text: CEL counts Unicode code points, JavaScript UTF-16 code units. */
export function characters(text: string): ArrayLike<string> & Iterable<string> {
  return ASCII_ONLY.test(text) ? text : Array.from(text)
}

/** The characters from `start` up to `end`, as `characters` counts them. */
export function slice(text: string, start: number, end?: number): string {
  if (ASCII_ONLY.test(text)) return text.slice(start, end)
  return Array.from(text).slice(start, end).join('')
}
