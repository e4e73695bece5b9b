import { globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'

import { expect, test } from 'vitest'

const src = resolve(import.meta.dirname, '../src')

test('of undici only its types are imported whole: the rest costs a third of a start', () => {
  const files = globSync('**/*.ts', { cwd: src, exclude: ['**/*.d.ts'] })
  expect(files.length).toBeGreaterThan(100)
  const whole = /^import (?!type\b)[^']*from 'undici'$|\bimport\('undici'\)/m
  expect(files.filter((file) => whole.test(readFileSync(resolve(src, file), 'utf8')))).toEqual([])
})
