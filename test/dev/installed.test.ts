import { copyFile, cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { command } from '../support/command.ts'

const root = resolve(import.meta.dirname, '../..')
let checkout = ''

/** A checkout without dependencies. */
beforeAll(async () => {
  checkout = await mkdtemp(join(tmpdir(), 'gatehouse-checkout-'))
  await copyFile(join(root, 'package.json'), join(checkout, 'package.json'))
  for (const folder of ['dev', 'src', 'certs-dev', 'bench']) {
    await mkdir(join(checkout, folder))
    await cp(join(root, folder), join(checkout, folder), { recursive: true })
  }
})

afterAll(() => rm(checkout, { recursive: true }))

test.for(['start', 'run gatehouse', 'run certs', 'run bench'])(
  'npm %s without npm ci says what to do, and nothing else',
  async (script) => {
    const { code, stderr } = await command('npm', ['--silent', ...script.split(' ')], {
      cwd: checkout,
    })
    expect(stderr).toBe('The dependencies are not installed. Run this first: npm ci\n')
    expect(code).toBe(1)
  },
)
