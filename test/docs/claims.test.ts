/** Checks that documents do not contradict each other. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const read = (file: string): string => readFileSync(join(root, file), 'utf8')

/** Refusal codes by stage. Stages of the same name are joined. */
function codesOf(matches: Iterable<RegExpExecArray>): Record<string, string> {
  const codes = new Map<string, string[]>()
  for (const [, stage = '', refusals = ''] of matches) {
    codes.set(stage, [...(codes.get(stage) ?? []), refusals.trim()])
  }
  return Object.fromEntries([...codes].map(([stage, all]) => [stage, all.join('; ')]))
}

test('README and ARCHITECTURE name the same refusals for each stage', () => {
  const drawn = codesOf(read('README.md').matchAll(/^ +(\w+)[^\n│]*▶ ([\d, ]+)$/gm))
  const listed = codesOf(
    read('ARCHITECTURE.md').matchAll(/^\| (\w+)[^|]*\|[^|]*\|[^|]*\| (\d[\d, ]*)\|/gm),
  )
  expect(Object.keys(drawn).length).toBeGreaterThan(5)
  expect(listed).toMatchObject(drawn)
})

test('every document says that a change takes effect within two seconds', () => {
  const documents = execFileSync('git', ['ls-files', '*.md'], { cwd: root, encoding: 'utf8' })
  const delays = documents
    .trim()
    .split('\n')
    .flatMap((file) => [...read(file).matchAll(/\bwithin (?:a|one|two) seconds?\b/g)])
    .map(([text]) => text)
  expect(delays.length).toBeGreaterThan(5)
  expect(delays.filter((text) => text !== 'within two seconds')).toEqual([])
})
