/** Which libraries of a published file a run evaluated: the file contains more than it runs. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

interface Coverage {
  readonly result: readonly {
    readonly url: string
    readonly functions: readonly {
      readonly ranges: readonly { readonly startOffset: number; readonly count: number }[]
    }[]
  }[]
}

/** A module in the published file: its package, and the function that evaluates it when it is needed. */
const MODULE =
  /^\/\/ (?:.*\/)?node_modules\/((?:@[^/\n]+\/)?[^/\n]+)\/.*\n(?:(?!\/\/ ).*\n)*?.*__(?:commonJS|esm)Min\(\(/gm

/**
 * Returns the packages of which a module was evaluated, in alphabetical order.
 *
 * @param file published by rolldown
 * @param coverage the directory that was NODE_V8_COVERAGE of the process, which has ended
 */
export async function evaluatedPackages(file: string, coverage: string): Promise<string[]> {
  const called = new Set<number>()
  for (const name of await readdir(coverage)) {
    const { result } = JSON.parse(await readFile(join(coverage, name), 'utf8')) as Coverage
    const functions = result
      .filter(({ url }) => url === pathToFileURL(file).href)
      .flatMap((script) => script.functions)
    for (const { ranges } of functions) {
      const [whole] = ranges
      if (whole !== undefined && whole.count > 0) called.add(whole.startOffset)
    }
  }
  const modules = [...(await readFile(file, 'utf8')).matchAll(MODULE)]
  const evaluated = modules.filter(({ index, 0: text }) => called.has(index + text.length))
  return [...new Set(evaluated.map(([, name = '']) => name))].toSorted()
}
