import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { beforeEach, expect, onTestFinished, test } from 'vitest'

import { ClientFailure } from '../../src/client/failure.ts'
import { takeLock } from '../../src/client/session/lock.ts'
import { command } from '../support/command.ts'

const child = join(import.meta.dirname, 'lock-child.ts')
let folder = ''
let name = ''

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-lock-'))
  name = join(folder, 'session.json')
  onTestFinished(() => rm(folder, { recursive: true }))
})

const run = (mode: string) =>
  command(process.execPath, [child, name, join(folder, 'log'), mode], { cwd: folder })

test('of many processes one holds it at a time, and crashed holders do not stop the others', async () => {
  const modes = Array.from({ length: 12 }, (_, i) => (i % 4 === 1 ? 'crash' : 'hold'))
  await Promise.all(modes.map(run))
  const lines = (await readFile(join(folder, 'log'), 'utf8')).trim().split('\n')
  const taken = lines.filter((line) => line.startsWith('+'))
  expect(taken).toHaveLength(12)
  // Whoever has not crashed releases it before the next one takes it.
  const released = lines.flatMap((line, i) => (line.startsWith('-') ? [[lines[i - 1], line]] : []))
  expect(released.map(([before]) => before)).toEqual(
    released.map(([, line]) => line?.replace('-', '+')),
  )
  expect(lines.filter((line) => line.startsWith('-'))).toHaveLength(9)
})

test('who began before the holder failed fails as it did, even without having waited', async () => {
  const before = Date.now() - 1_000
  const lock = await takeLock({ name, timeout: 1_000 })
  lock.release(new ClientFailure('signInFailed', 'the window was closed'))
  await expect(takeLock({ name, timeout: 1_000, since: before })).rejects.toThrow(
    'the window was closed',
  )
  const later = await takeLock({ name, timeout: 1_000, since: Date.now() + 1_000 })
  later.release()
  await takeLock({ name, timeout: 1_000, since: before })
})

test('those who waited for a holder that failed fail as it did; later ones do not', async () => {
  const lock = await takeLock({ name, timeout: 1_000 })
  const waiting = takeLock({ name, timeout: 5_000 })
  setTimeout(() => lock.release(new ClientFailure('signInFailed', 'canceled')), 200)
  await expect(waiting).rejects.toMatchObject({ message: 'canceled', exitCode: 4 })
  const next = await takeLock({ name, timeout: 1_000 })
  next.release()
})

test('who has to go on in any case waits, and does not fail as the holder did', async () => {
  const lock = await takeLock({ name, timeout: 1_000 })
  const waiting = takeLock({ name, timeout: 5_000, ignoresFailure: true })
  setTimeout(() => lock.release(new ClientFailure('signInFailed', 'canceled')), 200)
  await expect(waiting.then((next) => next.release())).resolves.toBeUndefined()
})

test.skipIf(!existsSync('/dev/full'))(
  'a directory in which nothing can be written is one line, with the exit code of files',
  async () => {
    // Drafts have the number of the process in their names: a link makes them a disk that is full.
    await symlink('/dev/full', join(folder, `.session.json.lock.1.${process.pid}`))
    await expect(takeLock({ name, timeout: 1_000 })).rejects.toMatchObject({
      message: `cannot write ${folder}: the disk is full`,
      exitCode: 7,
    })
  },
)

test('a directory that is missing is one line as well', async () => {
  const missing = join(folder, 'missing', 'session.json')
  await expect(takeLock({ name: missing, timeout: 1_000 })).rejects.toMatchObject({
    message: `cannot write ${join(folder, 'missing')}: its directory cannot be created`,
    exitCode: 7,
  })
})

test('waiting ends at its timeout, and names the process', async () => {
  const lock = await takeLock({ name, timeout: 1_000 })
  await expect(takeLock({ name, timeout: 100 })).rejects.toThrow(`process ${process.pid}`)
  lock.release()
})

test('a file without its content counts as held while it is new', async () => {
  await writeFile(`${name}.lock.7`, '')
  await expect(takeLock({ name, timeout: 100 })).rejects.toThrow('still running')
})

test('only the last file stays', async () => {
  for (let i = 0; i < 3; i++) (await takeLock({ name, timeout: 1_000 })).release()
  expect(await readdir(folder)).toEqual(['session.json.lock.3'])
})
