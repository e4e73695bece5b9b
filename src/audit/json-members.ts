/**
 * Characters that V8's `JSON.stringify` does not escape and that a terminal, a pager or a line reader
 * may interpret: DEL and C1 controls, U+2028 and U+2029, bidirectional and other format characters
 * (CVE-2021-42574), spaces other than U+0020, private and unassigned code points.
 */
const DECEPTIVE = /[[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]--[ ]]/gv

/**
 * The members of an object as JSON without the enclosing braces; undefined members are omitted. No
 * string in it can end a line, forge another line or disguise itself; `JSON.parse` returns the same
 * UTF-16 units.
 */
export function jsonMembers(object: object): string {
  const json = JSON.stringify(object)
  // Most lines are ASCII, and both checks run at memory speed.
  const isPlain = Buffer.byteLength(json) === json.length && !json.includes('\u007f')
  // JSON is ASCII outside of strings, so every match is inside a string.
  return (isPlain ? json : json.replace(DECEPTIVE, escape)).slice(1, -1)
}

function escape(character: string): string {
  let escaped = ''
  for (let at = 0; at < character.length; at++) {
    escaped += `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`
  }
  return escaped
}
