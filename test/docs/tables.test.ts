/** Tables must stay readable in a terminal and in a diff: a long cell belongs in a section. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { expect, test } from 'vitest'

/** Characters. */
const MAX_CELL_LENGTH = 200

const root = resolve(import.meta.dirname, '../..')
const documents = execFileSync('git', ['ls-files', '*.md'], { cwd: root, encoding: 'utf8' })
  .trim()
  .split('\n')

test.for(documents)('no table cell of %s is longer than 200 characters', (document) => {
  const text = readFileSync(join(root, document), 'utf8')
  expect(cellsOf(text).filter((cell) => cell.length > MAX_CELL_LENGTH)).toEqual([])
})

test('finds the cells of a table, and nothing in a code block', () => {
  const text = '| a \\| b | c |\n| --- | --- |\n| d | `e` |\n\n```sh\n| f | g |\n```\n'
  expect(cellsOf(text)).toEqual(['a \\| b', 'c', '---', '---', 'd', '`e`'])
})

/** The trimmed cells of every table outside of code blocks. */
function cellsOf(text: string): readonly string[] {
  const rows = text.replaceAll(/^```.*?^```$/gms, '').match(/^ *\|.*\|$/gm) ?? []
  return rows.flatMap((row) =>
    row
      .trim()
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim()),
  )
}
