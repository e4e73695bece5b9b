/**
 * What V8's `JSON.stringify` leaves bare and a terminal, a pager or a line reader could act on: DEL
 * and C1 controls, U+2028 and U+2029, bidirectional and other format characters (CVE-2021-42574),
 * spaces that only look like one, private and unassigned code points.
 */
const DECEPTIVE = /[[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]--[ ]]/gv

/**
 * The members of an object as JSON, without the braces around; those that are undefined are left
 * out. No string in it can end a line, forge another or look like something else; `JSON.parse`
 * gives back the same UTF-16 units.
 */
export function jsonMembers(object: object): string {
  const json = JSON.stringify(object)
  // ASCII is the rule, and both tests run at memory speed.
  const isPlain = Buffer.byteLength(json) === json.length && !json.includes('\u007f')
  // Outside of strings JSON is ASCII, so whatever matches is inside of one.
  return (isPlain ? json : json.replace(DECEPTIVE, escape)).slice(1, -1)
}

function escape(character: string): string {
  let escaped = ''
  for (let at = 0; at < character.length; at++) {
    escaped += `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`
  }
  return escaped
}
