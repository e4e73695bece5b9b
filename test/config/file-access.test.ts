import { constants } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { unwritable } from '../../src/config/file-access.ts'

let folder = ''
const FIX = 'grant write permission to the user that Gatehouse runs as, or choose another path'

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-files-'))
  await writeFile(join(folder, 'old.log'), '')
})

afterAll(() => rm(folder, { recursive: true }))

/** Access to everything but writing `path`, also when the tests run as root. */
const noWriteAccessTo = (path: string) => (asked: string, mode: number) => {
  if (asked !== path || (mode & constants.W_OK) === 0) return
  throw Object.assign(new Error('no'), { code: 'EACCES' })
}

test('a file cannot be written if its directory is not writable', () => {
  expect(unwritable(join(folder, 'new.log'), noWriteAccessTo(folder))).toEqual([
    `the directory ${folder} cannot be written: EACCES`,
    FIX,
  ])
})

test('an existing file cannot be written without permission for it', () => {
  const file = join(folder, 'old.log')
  expect(unwritable(file, noWriteAccessTo(file))).toEqual([
    `${file} cannot be written: EACCES`,
    FIX,
  ])
})

test('a file that does not exist yet needs only a writable directory', () => {
  const file = join(folder, 'new.log')
  expect(unwritable(file, noWriteAccessTo(file))).toBeUndefined()
})
