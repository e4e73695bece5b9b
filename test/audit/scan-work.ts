/**
 * Measures how many characters a function inspects: those that string methods pass, and the backtracks
 * of regular expressions. It uses no clock, so the result is the same on every machine.
 */
import { setFlagsFromString } from 'node:v8'
import { runInThisContext } from 'node:vm'

/** A regular expression that fails (no match) after so many backtracks. */
type LimitedRegExp = (source: string, flags: string, backtracks: number) => RegExp

interface RegExpCall {
  readonly source: string
  readonly flags: string
  readonly from: number
  readonly text: string
}

/** Runs a synchronous function. @returns the work that it caused */
export function scanWork(run: () => void): number {
  const calls: RegExpCall[] = []
  let passed = 0
  const restore = [
    replace(RegExp.prototype, 'exec', (exec) => {
      return function (this: RegExp, text: string) {
        const { source, flags, global, sticky } = this
        calls.push({ source, flags, from: global || sticky ? this.lastIndex : 0, text })
        return Reflect.apply(exec, this, [text])
      }
    }),
    replace(String.prototype, 'indexOf', (indexOf) => {
      return function (this: string, searched: string, from = 0) {
        const at = Reflect.apply(indexOf, this, [searched, from])
        passed += (at === -1 ? this.length : at + searched.length) - from
        return at
      }
    }),
    replace(String.prototype, 'includes', (includes) => {
      return function (this: string, searched: string, from = 0) {
        passed += this.length - from
        return Reflect.apply(includes, this, [searched, from])
      }
    }),
    replace(String.prototype, 'lastIndexOf', (lastIndexOf) => {
      return function (this: string, searched: string) {
        const at = Reflect.apply(lastIndexOf, this, [searched])
        passed += this.length - at
        return at
      }
    }),
  ]
  try {
    run()
  } finally {
    for (const undo of restore) undo()
  }
  return calls.reduce((sum, call) => sum + backtracksOf(call), passed)
}

function replace<T extends object, K extends keyof T>(
  owner: T,
  name: K,
  make: (original: T[K]) => T[K],
): () => void {
  const original = owner[name]
  owner[name] = make(original)
  return () => {
    owner[name] = original
  }
}

/** V8's own backtrack limit, which is only available with its natives syntax. */
function limitedRegExp(): LimitedRegExp {
  setFlagsFromString('--allow-natives-syntax')
  try {
    const source = '(source, flags, limit) => %NewRegExpWithBacktrackLimit(source, flags, limit)'
    const make = runInThisContext(source) as LimitedRegExp
    // The function is compiled at its first call, which needs the flag.
    make('a', '', 1)
    return make
  } finally {
    setFlagsFromString('--no-allow-natives-syntax')
  }
}

const limited = limitedRegExp()

/** The smallest power of two that is a sufficient limit. */
function backtracksOf({ source, flags, from, text }: RegExpCall): number {
  // The alternative always matches at the end, so no match means that the limit was reached.
  const end = flags.includes('y') ? '' : '(?![^])'
  const withIndex = flags.includes('g') ? flags : `${flags}g`
  for (let limit = 1; ; limit *= 2) {
    const regex = limited(`(?:${source})|${end}`, withIndex, limit)
    regex.lastIndex = from
    if (regex.exec(text) !== null) return limit
  }
}
