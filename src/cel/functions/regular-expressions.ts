/**
 * `matches`, `find` and `findAll` (apiserver pkg/cel/library/regex.go), with RE2's syntax and linear time:
 * a RegExp of JavaScript takes exponential time for some patterns and texts.
 */
import { RE2JS } from 're2js'

import { CelValueError } from '../error.ts'
import type { Library } from '../library.ts'
import type { Meter } from '../meter.ts'
import { List, type Value } from '../values.ts'

/** A compiled pattern. */
export interface Pattern {
  readonly regex: RE2JS
  /** Instructions, each of which may run for each character. */
  readonly size: number
}

/** Longest pattern, in characters; it can repeat a part of itself a thousand times. */
const MAX_PATTERN = 1_000
const MAX_INSTRUCTIONS = 10_000

/** @throws CelValueError for a pattern that is not valid in RE2's syntax, or too large */
export function compilePattern(text: string): Pattern {
  if (text.length > MAX_PATTERN) {
    throw new CelValueError(`the pattern is longer than ${MAX_PATTERN} characters`)
  }
  let regex: RE2JS
  try {
    regex = RE2JS.compile(text)
  } catch (error) {
    throw new CelValueError((error as Error).message)
  }
  const size = regex.programSize()
  if (size > MAX_INSTRUCTIONS) throw new CelValueError('the pattern is too large')
  return { regex, size }
}

/** Runs a compiled pattern on the other arguments of a function, the text first. */
export type PatternFunction = (
  meter: Meter,
  pattern: Pattern,
  text: string,
  limit?: bigint,
) => Value

const matches: PatternFunction = (meter, { regex, size }, text) => {
  meter.charge(1 + (text.length * size) / 4)
  return regex.test(text)
}

const find: PatternFunction = (meter, pattern, text) => {
  chargeSearch(meter, pattern, text.length)
  const matcher = pattern.regex.matcher(text)
  return matcher.find() ? (matcher.group() ?? '') : ''
}

const findAll: PatternFunction = (meter, pattern, text, limit = -1n) => {
  const matcher = pattern.regex.matcher(text)
  const found: Value[] = []
  let end = -1
  while (limit < 0n || BigInt(found.length) < limit) {
    chargeSearch(meter, pattern, text.length - Math.max(0, end))
    if (!matcher.find()) break
    const match = matcher.group() ?? ''
    // As in Go, nothing is found right behind a match.
    if (match !== '' || matcher.start() !== end) found.push(match)
    end = matcher.end()
  }
  return new List(found, { isGoStrings: true })
}

/** Of functions whose second argument is a pattern. */
export const PATTERN_FUNCTIONS: ReadonlyMap<string, PatternFunction> = new Map([
  ['matches', matches],
  ['find', find],
  ['findAll', findAll],
])

/** A search may read the rest of the text for each match, and tell where each one is. */
function chargeSearch(meter: Meter, { size }: Pattern, length: number): void {
  meter.charge(10 + (length * size) / 8)
}

/** A pattern that is computed is compiled each time. */
const dynamic =
  (run: PatternFunction) => (meter: Meter, text: string, pattern: string, limit?: bigint) => {
    meter.charge(100 + 10 * pattern.length)
    return run(meter, compilePattern(pattern), text, limit)
  }

export const regularExpressions: Library = {
  matches: [
    ['string, string -> bool', dynamic(matches)],
    ['.string, string -> bool', dynamic(matches)],
  ],
  find: [['.string, string -> string', dynamic(find)]],
  findAll: [
    ['.string, string -> list(string)', dynamic(findAll)],
    ['.string, string, int -> list(string)', dynamic(findAll)],
  ],
}
