/** Functions of strings (cel-go ext/strings.go, version 2, and common/stdlib). */
import { CelValueError } from '../error.ts'
import type { Library } from '../library.ts'
import { CHARACTERS_PER_STEP, type Meter } from '../meter.ts'
import { List, typeName, type Value } from '../values.ts'
import { format } from './format.ts'
import { SHORT_ESCAPES } from './short-escapes.ts'
import { characters, isAscii, slice } from './text.ts'

export const strings: Library = {
  contains: [
    ['.string, string -> bool', (_meter, text: string, part: string) => text.includes(part)],
  ],
  startsWith: [
    ['.string, string -> bool', (_meter, text: string, part: string) => text.startsWith(part)],
  ],
  endsWith: [
    ['.string, string -> bool', (_meter, text: string, part: string) => text.endsWith(part)],
  ],
  charAt: [['.string, int -> string', charAt]],
  indexOf: [
    ['.string, string -> int', (_meter, text: string, part: string) => indexOf(text, part, 0n)],
    [
      '.string, string, int -> int',
      (_meter, text: string, part: string, from: bigint) => indexOf(text, part, from),
    ],
  ],
  lastIndexOf: [
    ['.string, string -> int', (_meter, text: string, part: string) => lastIndexOf(text, part)],
    [
      '.string, string, int -> int',
      (_meter, text: string, part: string, from: bigint) => lastIndexOf(text, part, from),
    ],
  ],
  lowerAscii: [
    ['.string -> string', (meter, text: string) => cased(meter, text, /[A-Z]/g, 'toLowerCase')],
  ],
  upperAscii: [
    ['.string -> string', (meter, text: string) => cased(meter, text, /[a-z]/g, 'toUpperCase')],
  ],
  replace: [
    ['.string, string, string -> string', replace],
    ['.string, string, string, int -> string', replace],
  ],
  split: [
    ['.string, string -> list(string)', split],
    ['.string, string, int -> list(string)', split],
  ],
  substring: [
    ['.string, int -> string', substring],
    ['.string, int, int -> string', substring],
  ],
  trim: [['.string -> string', (_meter, text: string) => trim(text)]],
  join: [
    ['.list(string) -> string', join],
    ['.list(string), string -> string', join],
  ],
  format: [['.string, list(dyn) -> string', format]],
  'strings.quote': [['string -> string', (_meter, text: string) => quote(text)]],
}

type ToCase = 'toLowerCase' | 'toUpperCase'

/** Changes ASCII letters alone. */
function cased(meter: Meter, text: string, letters: RegExp, toCase: ToCase): string {
  if (isAscii(text)) return text[toCase]()
  meter.charge(text.length)
  return text.replace(letters, (letter) => letter[toCase]())
}

function outOfRange(index: bigint): CelValueError {
  return new CelValueError(`index out of range: ${index}`)
}

function charAt(_meter: Meter, text: string, index: bigint): Value {
  const all = characters(text)
  if (index < 0n || index > BigInt(all.length)) throw outOfRange(index)
  return all[Number(index)] ?? ''
}

function indexOf(text: string, part: string, from: bigint): Value {
  if (part === '') return from
  if (from < 0n) throw outOfRange(from)
  const length = BigInt(characters(text).length)
  if (from >= length) return -1n
  const skipped = slice(text, 0, Number(from)).length
  return characterIndex(text, text.indexOf(part, skipped))
}

function lastIndexOf(text: string, part: string, from?: bigint): Value {
  const length = BigInt(characters(text).length)
  if (part === '') return from ?? length
  if (from === undefined && Buffer.byteLength(text) < Buffer.byteLength(part)) return -1n
  const start = from ?? length - 1n
  if (start < 0n) throw outOfRange(start)
  if (start >= length) return -1n
  return characterIndex(text, text.lastIndexOf(part, slice(text, 0, Number(start)).length))
}

/** The number of characters before a place that JavaScript found. */
function characterIndex(text: string, index: number): bigint {
  return index === -1 ? -1n : BigInt(characters(text.slice(0, index)).length)
}

function replace(meter: Meter, text: string, old: string, by: string, limit = -1n): Value {
  const all = old === '' ? [...characters(text), ''] : text.split(old)
  const places = all.length - (old === '' ? 0 : 1)
  const count = limit < 0n ? places : Number(limit < BigInt(places) ? limit : places)
  meter.charge(1 + (text.length + count * by.length) / CHARACTERS_PER_STEP + all.length)
  if (old === '') return all.map((part, i) => (i < count ? by + part : part)).join('')
  return [all.slice(0, count + 1).join(by), ...all.slice(count + 1)].join(old)
}

/** Go's strings.SplitN; an empty separator splits between characters. */
function split(meter: Meter, text: string, separator: string, limit = -1n): Value {
  if (limit === 0n) return goStrings([])
  const parts = separator === '' ? [...characters(text)] : text.split(separator)
  meter.charge(parts.length)
  if (limit < 0n || limit >= BigInt(parts.length)) return goStrings(parts)
  const kept = parts.slice(0, Number(limit) - 1)
  return goStrings([...kept, parts.slice(Number(limit) - 1).join(separator)])
}

function goStrings(items: readonly string[]): List {
  return new List(items, { isGoStrings: true })
}

function substring(_meter: Meter, text: string, start: bigint, end?: bigint): Value {
  const length = BigInt(characters(text).length)
  const stop = end ?? length
  if (end !== undefined && start > end) {
    throw new CelValueError(`invalid substring range. start: ${start}, end: ${end}`)
  }
  if (start < 0n || start > length) throw outOfRange(start)
  if (stop < 0n || stop > length) throw outOfRange(stop)
  return slice(text, Number(start), Number(stop))
}

const BLANK =
  '[\\t\\n\\v\\f\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]'
const BLANK_START = new RegExp(`^${BLANK}+`)
const BLANK_CHARACTER = new RegExp(`^${BLANK}$`)

/** Go's unicode.IsSpace: JavaScript also trims U+FEFF, and keeps U+0085. */
function trim(text: string): string {
  const started = text.replace(BLANK_START, '')
  let end = started.length
  while (end > 0 && BLANK_CHARACTER.test(started[end - 1] ?? '')) end--
  return started.slice(0, end)
}

function join(meter: Meter, { items }: List, separator = ''): Value {
  let length = 0
  const texts = items.map((item) => {
    if (typeof item !== 'string') {
      throw new CelValueError(`join: invalid input of type ${typeName(item)}`)
    }
    length += item.length + separator.length
    return item
  })
  meter.charge(items.length + length / CHARACTERS_PER_STEP)
  return texts.join(separator)
}

function quote(text: string): string {
  // eslint-disable-next-line no-control-regex -- it is one of those that are escaped
  return `"${text.replace(/[\u0007\b\f\n\r\t\v\\"]/g, (character) => SHORT_ESCAPES[character] ?? '')}"`
}
