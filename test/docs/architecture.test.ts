/** What ARCHITECTURE.md and CONTRIBUTING.md say of the code as it is. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { expect, test } from 'vitest'

import { mayImport } from '../../eslint.imports.ts'

const root = resolve(import.meta.dirname, '../..')
const read = (name: string): string => readFileSync(join(root, name), 'utf8')
const files = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).trim().split('\n')

test.for(['ARCHITECTURE.md', 'CONTRIBUTING.md'])(
  'every file that %s names is there',
  (document) => {
    const names = [...read(document).matchAll(/`([\w./-]+\.(?:ts|yaml|jsonl))`/g)].map(
      ([, name = '']) => name,
    )
    expect(names.length).toBeGreaterThan(20)
    const gone = names.filter(
      (name) => !existsSync(join(root, name)) && !files.some((file) => file.endsWith(`/${name}`)),
    )
    expect(gone).toEqual([])
  },
)

test('the table of imports is that of the linter', () => {
  const [, section = ''] =
    /\n## What a directory may import\n(.*?)\n## /s.exec(read('ARCHITECTURE.md')) ?? []
  const rows = section.matchAll(/^\| `([\w-]+)` +\| ((?:[\w-]+(?:, )?)*) *\|$/gm)
  const table = [...rows].map(
    ([, directory, list = '']) =>
      [directory, [...list.matchAll(/[\w-]+/g)].map(([name]) => name)] as const,
  )
  expect(Object.fromEntries(table)).toEqual(mayImport)
})
