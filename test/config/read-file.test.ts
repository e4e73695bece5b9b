import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { digestOfFile } from '../../src/config/digests.ts'
import { readableByOthers, unreadable } from '../../src/config/file-access.ts'
import { MAX_FILE_BYTES, readRegularFile } from '../../src/config/read-file.ts'
import { readText } from '../../src/config/read-text.ts'

let folder = ''
const at = (name: string): string => join(folder, name)

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-read-'))
  writeFileSync(at('there'), 'text')
  symlinkSync(at('there'), at('link'))
  execFileSync('mkfifo', [at('fifo')])
  symlinkSync(at('fifo'), at('link to a fifo'))
  for (const [name, size] of [
    ['600 MB', 600_000_000],
    ['too large', MAX_FILE_BYTES + 1],
    ['largest', MAX_FILE_BYTES],
  ] as const) {
    writeFileSync(at(name), '')
    truncateSync(at(name), size)
  }
})

afterAll(() => rmSync(folder, { recursive: true }))

/** What each reader says of the file: none of them may wait for it, or read it. */
function judged(file: string) {
  const faults: string[] = []
  const text = readText(file, (message) => faults.push(message))
  return { text, faults, unreadable: unreadable(file)?.[0], digest: digestOfFile(file) }
}

test.for([
  ['fifo', 'is not a regular file', 'NOT_REGULAR'],
  ['link to a fifo', 'is not a regular file', 'NOT_REGULAR'],
  ['.', 'is a directory', 'EISDIR'],
  ['600 MB', 'is larger than 16 MiB', 'TOO_LARGE'],
  ['too large', 'is larger than 16 MiB', 'TOO_LARGE'],
])('%s is not read, and the fault is named', ([name = '', message = '', code]) => {
  const heapBefore = process.memoryUsage().arrayBuffers
  expect(judged(at(name))).toEqual({
    text: undefined,
    faults: [message],
    unreadable: message,
    digest: `unreadable: ${code}`,
  })
  expect(process.memoryUsage().arrayBuffers - heapBefore).toBeLessThan(MAX_FILE_BYTES)
})

test('a device without an end is not read', () => {
  expect(judged('/dev/zero')).toMatchObject({ faults: ['is not a regular file'] })
})

test('a file of the largest size is read', () => {
  expect(readRegularFile(at('largest'))).toHaveLength(MAX_FILE_BYTES)
})

test('a file behind a symbolic link is read', () => {
  expect(readRegularFile(at('link')).toString()).toBe('text')
})

test('a file whose size is not known beforehand is read to its end', () => {
  expect(readRegularFile('/proc/self/status').toString()).toMatch(/^Name:/)
})

describe('a file with a secret', () => {
  test.for([
    [0o600, false],
    [0o640, false],
    [0o440, false],
    [0o644, true],
    [0o604, true],
  ] as const)('of mode %o is readable by every user: %s', ([mode, isExposed]) => {
    chmodSync(at('there'), mode)
    expect(readableByOthers(at('there')) !== undefined).toBe(isExposed)
    expect(readableByOthers(at('link')) !== undefined).toBe(isExposed)
  })

  test('that is not there is not reported', () => {
    expect(readableByOthers(at('missing'))).toBeUndefined()
  })
})
