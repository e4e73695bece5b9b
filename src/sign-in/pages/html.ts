/** Text that may stand in a page as it is. */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export const NOTHING = new Html('')
/** In a value, it would be shown as a control character. */
export const LINE_END = new Html('\n')

type Value = string | number | Html | readonly Html[]

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/**
 * Characters that a reader does not see, or that reorder what follows (CVE-2021-42574): a group of
 * another name must not look like one of ours. They are shown as their code points.
 */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/** Makes HTML. Every value is escaped, unless it is HTML itself; attributes must be in double quotes. */
export function html(strings: TemplateStringsArray, ...values: readonly Value[]): Html {
  return new Html(strings.map((part, i) => part + textOf(values[i] ?? '')).join(''))
}

function textOf(value: Value): string {
  if (value instanceof Html) return value.text
  if (typeof value === 'object') return value.map(({ text }) => text).join('')
  return String(value)
    .replaceAll(INVISIBLE, named)
    .replaceAll(/[&<>"']/g, (character) => ESCAPES[character] ?? '')
}

function named(character: string): string {
  const code = character.codePointAt(0) ?? 0
  return `[U+${code.toString(16).toUpperCase().padStart(4, '0')}]`
}
