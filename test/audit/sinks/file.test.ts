import * as fs from 'node:fs'
import { mkdtemp, readFile, readdir, rename, rm, stat, writeFile, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import type { WriteFile } from '../../../src/audit/sinks/file-device.ts'
import { createFileSink, type FileSinkOptions } from '../../../src/audit/sinks/file.ts'
import { memoryLog } from '../fixtures.ts'

const BACKUP = /^audit-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.log$/

let directory: string
let path: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gatehouse-audit-'))
  path = join(directory, 'audit.log')
})
afterEach(async () => {
  await rm(directory, { recursive: true })
})

function open({ write, ...options }: Partial<FileSinkOptions> & { write?: WriteFile } = {}) {
  const { log, lines } = memoryLog()
  const defaults = { maxSizeMegabytes: 100, maxBackups: 0, maxAgeDays: 0, compress: false }
  const sink = createFileSink(
    { path, ...defaults, ...options },
    { log, ...(write === undefined ? {} : { write }) },
  )
  return { sink, logLines: lines }
}

async function backups(): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name !== 'audit.log').sort()
}

/** The numbers of the lines in all files, oldest first; throws for an incomplete line. */
async function numbers(): Promise<number[]> {
  const found: number[] = []
  for (const name of [...(await backups()), 'audit.log']) {
    const bytes = await readFile(join(directory, name))
    const text = (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString()
    if (text === '') continue
    expect(text.endsWith('\n')).toBe(true)
    for (const line of text.slice(0, -1).split('\n')) {
      found.push((JSON.parse(line) as { n: number }).n)
    }
  }
  return found
}

function numbered(n: number, padding = 100): string {
  return `${JSON.stringify({ n, padding: 'x'.repeat(padding) })}\n`
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)

describe('the audit file', () => {
  test('is created readable only by its owner, and appended to', async () => {
    const first = open().sink
    first.write(numbered(0))
    await first.close()
    const second = open().sink
    second.write(numbered(1))
    await second.close()
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await numbers()).toEqual([0, 1])
  })

  test('is used with a warning when others can read it', async () => {
    await writeFile(path, '', { mode: 0o644 })
    const { sink, logLines } = open()
    await sink.close()
    expect(logLines).toMatchObject([{ level: 'warn', path }])
  })

  test('gets a newline first when a killed process left it within a line', async () => {
    await writeFile(path, '{"n":0}\n{"n":1,"pad', { mode: 0o600 })
    const { sink } = open()
    sink.write(numbered(2, 0))
    await sink.close()
    expect(await readFile(path, 'utf8')).toBe('{"n":0}\n{"n":1,"pad\n{"n":2,"padding":""}\n')
  })

  test.for([
    ['a directory that is not there', () => join(directory, 'none', 'audit.log'), 'ENOENT'],
    ['a directory in its place', () => directory, 'EISDIR'],
    ['a path that cannot be', () => join(directory, 'x'.repeat(300)), 'ENAMETOOLONG'],
  ] as const)('cannot be opened at %s', ([, where, code]) => {
    expect(() => open({ path: where() })).toThrow(
      new RegExp(`^the audit log cannot be opened for writing: ${code}`),
    )
  })
})

describe('a failing disk', () => {
  test('is reported when it is full, and nothing counts as written', async () => {
    const { sink, logLines } = open({ path: '/dev/full', closeTimeout: 50 })
    sink.write(numbered(0))
    await sink.flush()
    expect(sink.failure()).toMatch(/^ENOSPC/)
    expect(logLines).toMatchObject([{ level: 'error', msg: 'the audit log cannot be written' }])
    const closed = sink.close()
    expect(sink.failure()).toMatch(/^ENOSPC/)
    await closed
    expect(logLines.at(-1)).toMatchObject({ bytes: numbered(0).length })
  })

  test.for(['ENOSPC', 'EIO', 'EBADF'])(
    'tears no line when it fails with %s within one',
    async (code) => {
      let failures = 0
      const write: WriteFile = (fd, buffer, offset, length, position, callback) => {
        // Every second write is partial, and every third fails.
        failures++
        if (failures % 3 === 0) {
          callback(Object.assign(new Error(`${code}: write`), { code }), 0)
        } else {
          fs.write(
            fd,
            buffer,
            offset,
            Math.min(length, failures % 2 === 0 ? 37 : 5_000),
            position,
            callback,
          )
        }
      }
      const { sink } = open({ write })
      for (let n = 0; n < 200; n++) expect(sink.write(numbered(n))).toBe(true)
      await expect
        .poll(async () => {
          await sink.flush()
          return numbers()
        })
        .toEqual(upTo(200))
      expect(failures).toBeGreaterThan(5)
      await sink.close()
      expect(await numbers()).toEqual(upTo(200))
    },
  )

  test('loses no complete line when an administrator removes the file to make room', async () => {
    let isFull = false
    let calls = 0
    const write: WriteFile = (fd, buffer, offset, length, position, callback) => {
      if (isFull) {
        callback(Object.assign(new Error('ENOSPC: write'), { code: 'ENOSPC' }), 0)
        return
      }
      calls++
      // The first batch stops within its second line.
      isFull = calls === 1
      fs.write(
        fd,
        buffer,
        offset,
        calls === 1 ? numbered(0).length + 9 : length,
        position,
        callback,
      )
    }
    const { sink } = open({ write })
    for (let n = 0; n < 3; n++) sink.write(numbered(n))
    await sink.flush()
    expect(sink.failure()).toMatch(/^ENOSPC/)
    await rename(path, join(directory, 'moved'))
    isFull = false
    await expect.poll(() => sink.failure()).toBeUndefined()
    await sink.close()
    expect(await readFile(path, 'utf8')).toBe(numbered(1) + numbered(2))
  })
})

describe('a file that another process moves', () => {
  test('is replaced by a new one for the lines that follow', async () => {
    const { sink } = open()
    sink.write(numbered(0))
    await sink.flush()
    await rename(path, join(directory, 'audit.log.1'))
    await expect
      .poll(async () => {
        sink.write(numbered(1))
        await sink.flush()
        return (await stat(path)).size
      })
      .toBeGreaterThan(0)
    await sink.close()
    expect(await readFile(join(directory, 'audit.log.1'), 'utf8')).toContain(numbered(0))
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })
})

describe('rotation', () => {
  test('under load keeps every line once, in order, in files of limited size', async () => {
    const { sink } = open({ maxSizeMegabytes: 0.02 })
    const count = 3_000
    for (let n = 0; n < count; n++) {
      expect(sink.write(numbered(n))).toBe(true)
      if (n % 50 === 0) await new Promise(setImmediate)
    }
    await sink.close()
    expect(await numbers()).toEqual(upTo(count))
    const names = await backups()
    expect(names.length).toBeGreaterThan(10)
    for (const name of names) {
      expect(name).toMatch(BACKUP)
      const { size, mode } = await stat(join(directory, name))
      expect(size).toBeLessThanOrEqual(0.02 * 1_048_576)
      expect(mode & 0o777).toBe(0o600)
    }
  })

  test('counts the size that the file had at the start', async () => {
    await writeFile(path, numbered(0, 20_000), { mode: 0o600 })
    const { sink } = open({ maxSizeMegabytes: 0.02 })
    sink.write(numbered(1, 2_000))
    await sink.close()
    expect(await backups()).toHaveLength(1)
    expect(await readFile(path, 'utf8')).toBe(numbered(1, 2_000))
  })

  test('never happens at 0 megabytes', async () => {
    const { sink } = open({ maxSizeMegabytes: 0 })
    for (let n = 0; n < 2_000; n++) sink.write(numbered(n))
    await sink.close()
    expect(await backups()).toEqual([])
  })

  test('keeps the newest backups only', async () => {
    const { sink } = open({ maxSizeMegabytes: 0.02, maxBackups: 2 })
    for (let n = 0; n < 1_500; n++) {
      sink.write(numbered(n))
      if (n % 100 === 0) await sink.flush()
    }
    await sink.flush()
    // The other backups are removed in the background.
    await expect.poll(() => backups()).toHaveLength(2)
    await sink.close()
    const left = await numbers()
    expect(left.at(-1)).toBe(1_499)
    expect(left).toEqual(upTo(1_500).slice(-left.length))
  })

  test('removes only backups that are too old at the start', async () => {
    const stamp = (age: number) =>
      new Date(Date.now() - age * 86_400_000).toISOString().slice(0, 23).replaceAll(':', '-')
    const old = [`audit-${stamp(8)}.log`, `audit-${stamp(9)}.log.gz`]
    const kept = [
      `audit-${stamp(6)}.log`,
      `audit-${stamp(1)}.log.gz`,
      `audit-${stamp(8)}.txt`,
      `other-${stamp(8)}.log`,
      'audit-2020.log',
      'audit-20xx-01-01T00-00-00.000.log',
    ].sort()
    for (const name of [...old, ...kept]) {
      await writeFile(join(directory, name), '')
      await utimes(join(directory, name), 0, 0)
    }
    const { sink } = open({ maxAgeDays: 7 })
    await expect.poll(() => backups()).toEqual(kept)
    await sink.close()
    expect(await backups()).toEqual(kept)
  })

  test('compresses backups in the background, including earlier ones', async () => {
    await writeFile(join(directory, 'audit-2026-01-01T00-00-00.000.log'), numbered(0))
    await writeFile(join(directory, 'audit-2026-01-01T00-00-00.000.log.gz.partial'), 'half')
    const { sink } = open({ maxSizeMegabytes: 0.02, compress: true })
    for (let n = 1; n < 600; n++) {
      sink.write(numbered(n))
      if (n % 100 === 0) await sink.flush()
    }
    await sink.flush()
    const uncompressed = async () => (await backups()).filter((name) => !name.endsWith('.log.gz'))
    await expect.poll(uncompressed).toEqual([])
    expect((await backups()).length).toBeGreaterThan(2)
    await sink.close()
    expect(await numbers()).toEqual(upTo(600))
    for (const name of await backups()) {
      expect((await stat(join(directory, name))).mode & 0o777).toBe(0o600)
    }
  })

  test('is reported when it fails, and the file keeps growing', async () => {
    // The name is short enough for the file, but not for a backup.
    const long = join(directory, `${'a'.repeat(240)}.log`)
    const { sink, logLines } = open({ path: long, maxSizeMegabytes: 0.002 })
    for (let n = 0; n < 100; n++) {
      sink.write(numbered(n))
      await sink.flush()
    }
    await sink.close()
    expect(sink.failure()).toBe('the sink is closed')
    expect((await readFile(long, 'utf8')).split('\n')).toHaveLength(101)
    expect(logLines.map(({ msg }) => msg)).toEqual([
      'the audit log cannot be rotated and keeps growing',
    ])
  })
})
