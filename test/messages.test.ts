import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const files = execFileSync('git', ['ls-files', 'src', 'config/schema'], {
  cwd: root,
  encoding: 'utf8',
})
  .trim()
  .split('\n')

test('messages use the ASCII apostrophe and quotes, so that they can be searched for', () => {
  expect(files.length).toBeGreaterThan(100)
  const typographic = /[\u2018\u2019\u201c\u201d]/
  expect(files.filter((file) => typographic.test(readFileSync(join(root, file), 'utf8')))).toEqual(
    [],
  )
})
