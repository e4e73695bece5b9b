import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createLogDestination, noticeOf } from '../../dev/first-run/log-notices.ts'
import { createLog } from '../../src/log.ts'

const failed = 'reload failed; the last good version stays in effect'

test.for([
  { line: { what: 'rules', msg: 'reloaded' }, notice: 'rules: reloaded' },
  {
    line: { what: 'rules', err: { message: 'rules.yaml:3:1: a\nrules.yaml:4:1: b' }, msg: failed },
    notice:
      'rules: reload failed; the last good version stays in effect\n' +
      '  rules.yaml:3:1: a\n  rules.yaml:4:1: b',
  },
  {
    line: { problem: 'rules.yaml:3:1: denies nothing', msg: 'configuration warning' },
    notice: 'warning: rules.yaml:3:1: denies nothing',
  },
  {
    line: { problem: 'no response within 100 ms', msg: 'Redis cannot be used' },
    notice: 'Redis cannot be used: no response within 100 ms',
  },
  { line: { msg: 'Redis is used' }, notice: 'Redis is used' },
  { line: { port: 8443, msg: 'listening' }, notice: undefined },
  { line: { err: { message: 'a' }, msg: 'uncaught exception' }, notice: undefined },
])('the notice for the log message "$line.msg" is $notice', ({ line, notice }) => {
  expect(noticeOf(JSON.stringify(line))).toBe(notice)
})

test('every line is written to the file, with a notice or without', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-log-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const file = join(folder, 'log')
  const notify = vi.fn()
  const log = createLog({ level: 'info', destination: createLogDestination({ file }, { notify }) })
  log.info({ port: 8443 }, 'listening')
  log.error({ what: 'rules', err: new Error('a mistake') }, failed)
  await expect.poll(() => readFile(file, 'utf8')).toMatch(/"listening".*\n.*"a mistake".*\n$/)
  expect(notify.mock.calls).toEqual([
    ['rules: reload failed; the last good version stays in effect\n  a mistake'],
  ])
})

test('a log file that cannot be written does not suppress notices', () => {
  const notify = vi.fn()
  const destination = createLogDestination({ file: '/nowhere/at/all/log' }, { notify })
  destination.write('{"what":"rules","msg":"reloaded"}\n')
  expect(notify).toHaveBeenCalledOnce()
})
