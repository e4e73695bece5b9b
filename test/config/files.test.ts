import { constants } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { unwritable } from '../../src/config/files.ts'

let folder = ''
const MEND = 'give the user that Gatehouse runs as the right to write it, or choose another path'

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-files-'))
  await writeFile(join(folder, 'old.log'), '')
})

afterAll(() => rm(folder, { recursive: true }))

/** Who may do anything but write `path`, whoever runs the tests. */
const notTo = (path: string) => (asked: string, mode: number) => {
  if (asked !== path || (mode & constants.W_OK) === 0) return
  throw Object.assign(new Error('no'), { code: 'EACCES' })
}

test('a file in a folder that takes no files cannot be written', () => {
  expect(unwritable(join(folder, 'new.log'), notTo(folder))).toEqual([
    `the directory ${folder} cannot be written: EACCES`,
    MEND,
  ])
})

test('nor can one that is there and another’s', () => {
  const file = join(folder, 'old.log')
  expect(unwritable(file, notTo(file))).toEqual([`${file} cannot be written: EACCES`, MEND])
})

test('one that is to be made needs no right but the folder’s', () => {
  const file = join(folder, 'new.log')
  expect(unwritable(file, notTo(file))).toBeUndefined()
})
