import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createLogDestination, noticeOf } from '../../dev/first-run/log-notices.ts'
import { createLog } from '../../src/log.ts'

const failed = 'reload failed; the last good version stays in force'

test.for([
  {
    line: { what: 'rules', msg: 'reloaded' },
    notice: 'rules: read again, in force now',
  },
  {
    line: { what: 'rules', err: { message: 'rules.yaml:3:1: a\nrules.yaml:4:1: b' }, msg: failed },
    notice:
      'rules: not read again, the last good version stays in force\n' +
      '  rules.yaml:3:1: a\n  rules.yaml:4:1: b',
  },
  {
    line: { problem: 'rules.yaml:3:1: denies nothing', msg: 'configuration' },
    notice: 'warning: rules.yaml:3:1: denies nothing',
  },
  { line: { port: 8443, msg: 'listening' }, notice: undefined },
  { line: { err: { message: 'a' }, msg: 'an exception that nobody caught' }, notice: undefined },
])('$line.msg is told as $notice', ({ line, notice }) => {
  expect(noticeOf(JSON.stringify(line))).toBe(notice)
})

test('every line goes into the file, told or not', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-log-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const file = join(folder, 'log')
  const tell = vi.fn()
  const log = createLog({ level: 'info', destination: createLogDestination(file, tell) })
  log.info({ port: 8443 }, 'listening')
  log.error({ what: 'rules', err: new Error('a mistake') }, failed)
  await expect.poll(() => readFile(file, 'utf8')).toMatch(/"listening".*\n.*"a mistake".*\n$/)
  expect(tell.mock.calls).toEqual([
    ['rules: not read again, the last good version stays in force\n  a mistake'],
  ])
})

test('a log that cannot be written holds up nothing', () => {
  const tell = vi.fn()
  const destination = createLogDestination('/nowhere/at/all/log', tell)
  destination.write('{"what":"rules","msg":"reloaded"}\n')
  expect(tell).toHaveBeenCalledOnce()
})
