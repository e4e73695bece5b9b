/**
 * JSON strings that cannot forge a line of the log: beside what RFC 8259 section 7 asks for,
 * everything that a terminal, a pager or a line reader could act on is written as an escape:
 * control characters (C0, DEL, C1, ESC among them), U+2028 and U+2029, bidirectional and other
 * format characters (CVE-2021-42574), lone surrogates, and spaces that only look like one.
 */

/** All printable ASCII but `"` and `\`: most strings are nothing else, and are copied. */
const NEEDS_ESCAPE = /[^ !#-[\]-~]/

const ESCAPED = /["\\]|[[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]--[ ]]/gv

const TRUNCATED = '...TRUNCATED'

/** The string as a JSON string, quotes included; `JSON.parse` gives back the same UTF-16 units. */
export function quote(text: string): string {
  return NEEDS_ESCAPE.test(text) ? `"${text.replace(ESCAPED, escape)}"` : `"${text}"`
}

/**
 * Cuts what is longer than `length` UTF-16 units and says so, as kube-apiserver does with user
 * agents (apiserver/pkg/audit/request.go, `maybeTruncateUserAgent`).
 */
export function truncate(text: string, length: number): string {
  return text.length > length ? text.slice(0, length) + TRUNCATED : text
}

function escape(character: string): string {
  if (character === '"' || character === '\\') return `\\${character}`
  let escaped = ''
  for (let at = 0; at < character.length; at++) {
    escaped += `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`
  }
  return escaped
}
