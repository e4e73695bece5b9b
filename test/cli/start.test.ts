import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { command } from '../support/command.ts'
import { asNode } from '../support/older-node.ts'

const source = resolve(import.meta.dirname, '../../src/start.ts')
const packageJson = resolve(import.meta.dirname, '../../package.json')
let folder = ''

/** Only the entry point: the file that it imports is missing. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-start-'))
  await copyFile(source, join(folder, 'start.ts'))
  await copyFile(packageJson, join(folder, 'package.json'))
})

afterAll(() => rm(folder, { recursive: true }))

const start = (version: string) =>
  command(process.execPath, [join(folder, 'start.ts'), '--version'], {
    env: { NODE_OPTIONS: asNode(version) },
  })

test('an older Node.js is reported before anything else is read', async () => {
  expect(await start('25.9.0')).toEqual({
    code: 2,
    stdout: '',
    stderr: 'gatehouse requires Node.js 26 or newer; this is v25.9.0\n',
  })
})

test('a newer Node.js goes on to the program', async () => {
  const { stderr } = await start('27.0.0')
  expect(stderr).toContain('main.ts')
})
