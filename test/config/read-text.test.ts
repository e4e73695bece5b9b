import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { fileFault, readText } from '../../src/config/read-text.ts'

let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-text-'))
  await writeFile(join(folder, 'there'), 'text\n')
})

afterAll(() => rm(folder, { recursive: true }))

function read(name: string, fix?: string) {
  const faults: string[][] = []
  const text = readText(join(folder, name), (...fault) => faults.push([...fault]), fix)
  return { text, faults }
}

test('a file that can be read gives its text and no problem', () => {
  expect(read('there')).toEqual({ text: 'text\n', faults: [] })
})

test('a missing file is a problem, with a fix', () => {
  expect(read('missing')).toEqual({
    text: undefined,
    faults: [['does not exist', 'create it, or correct the path']],
  })
})

test('a directory is a problem, with a fix', () => {
  expect(read('.').faults).toEqual([['is a directory', 'name a file in it']])
})

test('the fix of the caller replaces the general one', () => {
  expect(read('missing', 'run in a pod').faults).toEqual([['does not exist', 'run in a pod']])
})

test('an error of another kind is reported by its code, or by its message', () => {
  expect(fileFault(Object.assign(new Error('x'), { code: 'EACCES' }))).toEqual([
    'cannot be read: EACCES',
    'make it readable by Gatehouse',
  ])
  expect(fileFault(new Error('broken'))[0]).toBe('cannot be read: broken')
})
