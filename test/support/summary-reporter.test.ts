import { execFile } from 'node:child_process'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const vitest = join(root, 'node_modules/vitest/vitest.mjs')
let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-reporter-'))
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  await symlink(join(root, 'package.json'), join(folder, 'package.json'))
  await writeFile(
    join(folder, 'vitest.config.ts'),
    `import { summaryReporter } from ${JSON.stringify(join(root, 'test/support/summary-reporter.ts'))}
    export default { test: { reporters: ['default', summaryReporter()] } }`,
  )
})

afterAll(() => rm(folder, { recursive: true }))

const cases = [
  {
    name: 'has only passed and failed tests if none is skipped',
    source: `test('a', () => undefined); test('b', () => undefined)`,
    line: '2 passed, 0 failed',
    code: 0,
  },
  {
    name: 'has skipped tests as a third part',
    source: `test('a', () => undefined); test('b', () => { throw new Error('no') }); test.skip('c', () => undefined)`,
    line: '1 passed, 1 failed, 1 skipped',
    code: 1,
  },
  {
    name: 'counts a file that cannot be loaded as one failure',
    source: `import './nowhere.ts'`,
    line: '0 passed, 1 failed',
    code: 1,
  },
  {
    name: 'counts a failed hook of a suite as one failure, and its tests as skipped',
    source: `describe('s', () => { beforeAll(() => { throw new Error('no') }); test('a', () => undefined) })`,
    line: '0 passed, 1 failed, 1 skipped',
    code: 1,
  },
  {
    name: 'counts an uncaught error as one failure',
    source: `test('a', async () => { void Promise.reject(new Error('no')); await new Promise((r) => setTimeout(r, 20)) })`,
    line: '1 passed, 1 failed',
    code: 1,
  },
]

test.for(cases)('the last line of a run $name', async ({ name, source, line, code }) => {
  const file = join(folder, `${String(cases.findIndex((c) => c.name === name))}.test.js`)
  await writeFile(file, `import { beforeAll, describe, test } from 'vitest'\n${source}\n`)
  const run = await vitestRun(file)
  expect(run.output.trimEnd().split('\n').at(-1)).toBe(line)
  expect(run.code).toBe(code)
})

/** Runs vitest; `output` has both streams, as in a terminal. */
async function vitestRun(file: string): Promise<{ code: number | null; output: string }> {
  const { promise, resolve: done } = Promise.withResolvers<{ code: number; output: string }>()
  let output = ''
  const args = [vitest, 'run', '--root', folder, '--no-color', file]
  const child = execFile(process.execPath, args, {
    cwd: folder,
    env: { PATH: process.env['PATH'] },
  })
  child.stdout?.on('data', (chunk: string) => (output += chunk))
  child.stderr?.on('data', (chunk: string) => (output += chunk))
  child.once('close', (code: number) => done({ code, output }))
  return promise
}
