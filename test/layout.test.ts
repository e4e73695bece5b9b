import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

import ts from 'typescript'
import { describe, expect, it } from 'vitest'

import { mayImport } from '../eslint.imports.ts'

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
  .map((name) => join('src', name))

/** What each file imports of `src`, types included. */
const imports = new Map(
  files.map((file) => {
    const { importedFiles } = ts.preProcessFile(readFileSync(file, 'utf8'))
    const local = importedFiles.filter(({ fileName }) => fileName.startsWith('.'))
    return [file, local.map(({ fileName }) => normalize(join(dirname(file), fileName)))] as const
  }),
)

/** One import cycle of those that begin at `file`, from the file back to itself. */
function cycleFrom(file: string): readonly string[] | undefined {
  const seen = new Set<string>()
  const walk = (at: string, path: readonly string[]): readonly string[] | undefined => {
    for (const next of imports.get(at) ?? []) {
      if (next === file) return [...path, next]
      if (seen.has(next)) continue
      seen.add(next)
      const found = walk(next, [...path, next])
      if (found !== undefined) return found
    }
    return undefined
  }
  return walk(file, [file])
}

describe('the layout of src', () => {
  it('has no import cycle, types included', () => {
    expect(files.map(cycleFrom).filter((cycle) => cycle !== undefined)).toEqual([])
  })

  it('names every folder in the table of the import rule', () => {
    const folders = readdirSync('src', { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    )
    expect(Object.keys(mayImport).toSorted()).toEqual(folders.map(({ name }) => name).toSorted())
  })
})
