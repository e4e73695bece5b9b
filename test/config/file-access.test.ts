import { constants } from 'node:fs'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { unwritable } from '../../src/config/file-access.ts'

let folder = ''
const FIX = 'grant write permission to the user that Gatehouse runs as, or choose another path'

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-files-'))
  await writeFile(join(folder, 'old.log'), '')
  await symlink('loop.log', join(folder, 'loop.log'))
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

test.for([
  { name: 'a symbolic link to itself', path: 'loop.log', code: 'ELOOP' },
  { name: 'a name that is too long', path: 'x'.repeat(300), code: 'ENAMETOOLONG' },
  { name: 'a name with a null byte', path: 'a\0b', code: 'ERR_INVALID_ARG_VALUE' },
])('a file that cannot be looked at is a problem, not an exception: $name', ({ path, code }) => {
  const file = join(folder, path)
  expect(unwritable(file)).toEqual([`${file} cannot be written: ${code}`, FIX])
})
