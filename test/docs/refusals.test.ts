/** docs/refusals.md has every refusal, and the messages that it quotes are those of the code. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { expect, test } from 'vitest'

import { StatusError, type StatusReason } from '../../src/status.ts'

const root = resolve(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/refusals.md'), 'utf8')

/** The reasons of `src/status.ts`, which has them as a type only. */
const table = readFileSync(join(root, 'src/status.ts'), 'utf8')
  .split('const STATUS_CODES = {')[1]
  ?.split('} as const')[0]
const reasons = [...(table ?? '').matchAll(/^ {2}(\w+): \d+,$/gm)].map(
  ([, name]) => name as StatusReason,
)

test('every reason has a section, with its code, and a line in the table', () => {
  expect(reasons.length).toBeGreaterThan(10)
  const headings = [...page.matchAll(/^## (\w+) \((\d+)\)$/gm)].map(([, ...heading]) => heading)
  expect(headings).toEqual(
    reasons.map((reason) => [reason, String(new StatusError(reason, '').code)]),
  )
  const rows = [...page.matchAll(/^\| \[(\w+)\]\(#\w+-\d+\) +\| (\d+)/gm)].map(([, ...row]) => row)
  expect(rows).toEqual(headings)
})

test('every section says when it happens and what to do', () => {
  const sections = page
    .split(/^## /m)
    .filter((section) => /^\w+ \(\d+\)\n/.test(section))
    .map((section) => section.split('\n'))
  const incomplete = sections.filter(
    (lines) =>
      !lines.some((line) => line.startsWith('When:')) ||
      !lines.some((line) => line.startsWith('What to do: ')) ||
      !lines.join(' ').includes('In discovery: '),
  )
  expect(incomplete.map(([heading]) => heading)).toEqual([])
})

test('the messages that the page quotes are in the code', () => {
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(root, 'src', name), 'utf8'))
    .join('\n')
    // A long message is written as several literals.
    .replaceAll(/['`]\s*\+\s*['`]/g, '')
  const quotes = [...page.matchAll(/^- `([^`]+)`/gm)].map(([, quote = '']) => quote)
  expect(quotes.length).toBeGreaterThan(10)
  const parts = quotes.flatMap((quote) =>
    quote
      .split('…')
      .map((part) => part.replaceAll(/^\W+|\W+$/g, ''))
      .filter((part) => part.length > 3),
  )
  expect(parts.filter((part) => !sources.includes(part))).toEqual([])
})

test('the exit codes of both commands are listed', () => {
  const lists = page
    .slice(page.indexOf('## Exit codes'))
    .split(/^`gatehouse (?=\w+`:$)/m)
    .slice(1)
    .map((list) => [
      /^\w+/.exec(list)?.[0],
      [...list.matchAll(/^- (\d):/gm)].map(([, code]) => Number(code)),
    ])
  expect(lists).toEqual([
    ['serve', [0, 1, 2]],
    ['validate', [0, 1, 2]],
  ])
})
