import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { expect, test } from 'vitest'

import { mayImport } from '../../eslint.imports.ts'

const root = resolve(import.meta.dirname, '../..')
const sources = execFileSync('git', ['ls-files', 'src', '*.ts'], { cwd: root, encoding: 'utf8' })
  .trim()
  .split('\n')

test.for(['ARCHITECTURE.md', 'CONTRIBUTING.md'])(
  'every source file that %s names exists',
  (document) => {
    const text = readFileSync(join(root, document), 'utf8')
    const named = [...text.matchAll(/`([\w./-]+\.ts)`/g)].map(([, name]) => name!)
    expect(
      named.filter((name) => !sources.some((file) => `/${file}`.endsWith(`/${name}`))),
    ).toEqual([])
  },
)

test('every folder of src is named in ARCHITECTURE.md', () => {
  const text = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8')
  const folders = new Set(sources.flatMap((file) => /^src\/[\w-]+(?=\/)/.exec(file)?.[0] ?? []))
  expect(folders.size).toBeGreaterThan(5)
  expect([...folders].filter((folder) => !text.includes(`\`${folder}`))).toEqual([])
})

test('the table of imports in ARCHITECTURE.md is the one that the linter enforces', () => {
  const text = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8')
  const [, section = ''] = /\n## What a directory may import\n(.*?)\n## /s.exec(text) ?? []
  const documented = [...section.matchAll(/^\| `([\w-]+)` *\|([^|]*)\|$/gm)].map(
    ([, folder = '', cell = '']) => [folder, [...cell.matchAll(/[\w-]+/g)].map(String)],
  )
  expect(Object.fromEntries(documented)).toEqual(mayImport)
})
