/** Escape sequences of string and bytes literals (cel-go parser/unescape.go). */

const SIMPLE: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
  '`': '`',
  '?': '?',
}

/** Each escape sequence; the last alternative is whatever is none. */
const ESCAPE =
  /\\(?:([abfnrtv\\'"`?])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|)/g

export interface LiteralForm {
  /** Backslashes stand for themselves. */
  readonly isRaw: boolean
  readonly isBytes: boolean
}

/**
 * Returns the value of a literal without its quotes. Line ends become `\n`, as in cel-go.
 *
 * @throws Error for an escape sequence that is not valid
 */
export function unescapeLiteral(content: string, form: LiteralForm): string | Uint8Array {
  const text = content.replace(/\r\n?/g, '\n')
  if (!form.isBytes) return form.isRaw ? text : text.replace(ESCAPE, unescapeCharacter)
  if (form.isRaw) return Buffer.from(text)
  const parts: Buffer[] = []
  let end = 0
  for (const match of text.matchAll(ESCAPE)) {
    parts.push(Buffer.from(text.slice(end, match.index)), unescapeByte(match))
    end = match.index + match[0].length
  }
  return Buffer.concat([...parts, Buffer.from(text.slice(end))])
}

function unescapeCharacter(sequence: string, ...groups: unknown[]): string {
  const [simple, hex, four, eight, octal] = groups as (string | undefined)[]
  if (simple !== undefined) return SIMPLE[simple] ?? ''
  const digits = hex ?? four ?? eight
  const code = digits === undefined ? parseInt(octal ?? '', 8) : parseInt(digits, 16)
  if (Number.isNaN(code)) throw new Error(`invalid escape sequence ${sequence}`)
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
    throw new Error(`${sequence} is not a Unicode character`)
  }
  return String.fromCodePoint(code)
}

function unescapeByte([sequence, simple, hex, four, eight, octal]: RegExpExecArray): Buffer {
  if (simple !== undefined) return Buffer.from(SIMPLE[simple] ?? '')
  const code = hex === undefined ? parseInt(octal ?? '', 8) : parseInt(hex, 16)
  if (four !== undefined || eight !== undefined || Number.isNaN(code)) {
    throw new Error(`invalid escape sequence ${sequence} in bytes`)
  }
  return Buffer.from([code])
}
