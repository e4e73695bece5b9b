import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createRunFolder } from '../../dev/first-run/state.ts'

let around = ''
let parent = ''
beforeEach(async () => {
  around = await mkdtemp(join(tmpdir(), 'gatehouse-state-'))
  parent = join(around, '.gatehouse')
})
afterEach(() => rm(around, { recursive: true }))

test('each run has a folder of its own, which only its owner can read', async () => {
  const [one, other] = [await createRunFolder(parent), await createRunFolder(parent)]
  expect(one.directory).not.toBe(other.directory)
  expect((await stat(one.directory)).mode & 0o777).toBe(0o700)
  await one.remove()
  expect(await readdir(parent)).toEqual([other.directory.slice(parent.length + 1)])
  await other.remove()
  expect(await readdir(around)).toEqual([])
})

test('the folders of killed runs are removed, those of runs that may still be running are not', async () => {
  // Linux process IDs have at most 22 bits.
  const owners = {
    'run-killed': `99999999 ${hostname()}`,
    'run-elsewhere': '99999999 another-host',
    'run-here': `${process.pid} ${hostname()}`,
    'run-unknown': undefined,
    other: `99999999 ${hostname()}`,
  }
  for (const [name, owner] of Object.entries(owners)) {
    await mkdir(join(parent, name), { recursive: true })
    if (owner !== undefined) await writeFile(join(parent, name, 'owner'), owner)
  }
  const run = await createRunFolder(parent)
  await run.remove()
  expect((await readdir(parent)).sort()).toEqual([
    'other',
    'run-elsewhere',
    'run-here',
    'run-unknown',
  ])
})
