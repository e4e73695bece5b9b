/** What libraries print is logged as JSON: shown with the library for Redis. */
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { resolve } from 'node:path'

import { expect, onTestFinished, test } from 'vitest'

import { parse, stringify } from 'yaml'

import { listenOnLoopback, LOOPBACK } from '../../dev/loopback.ts'
import { startApiServer } from '../support/api-server.ts'
import { SECRET, startTestGatehouse, upstreamOf } from '../support/gatehouse.ts'
import { startProgram, type RunningProgram } from '../support/program.ts'
import { hasRedis, startRedis } from '../support/redis.ts'

const start = resolve(import.meta.dirname, '../../src/start.ts')

/** Starts a command with a Redis at this port, and the password `unneeded`. */
async function startWith(command: readonly string[], port: number): Promise<RunningProgram> {
  const api = await startApiServer()
  onTestFinished(() => api.close())
  // For its files.
  const gatehouse = await startTestGatehouse({ upstream: upstreamOf(api) })
  onTestFinished(() => gatehouse.close())
  const file = (name: string): string => gatehouse.file(name)
  await writeFile(file('secret'), 'k'.repeat(64), SECRET)
  await writeFile(file('password'), 'unneeded', SECRET)
  const base = parse(await readFile(file('gatehouse.yaml'), 'utf8')) as object
  const addresses = [`${LOOPBACK}:${port}`]
  const state = {
    type: 'redis',
    redis: { addresses, secretFile: 'secret', passwordFile: 'password' },
  }
  const configuration = { ...base, audit: { stdout: {} }, state }
  await writeFile(file('other.yaml'), stringify(configuration))
  return startProgram(process.execPath, [start, ...command, '--config', file('other.yaml')], {
    cwd: gatehouse.directory,
    env: process.env,
  })
}

test.skipIf(!hasRedis)(
  'a password that Redis does not need, and a user who may not run INFO, are lines of the log',
  async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.close())
    await redis.command('ACL', 'SETUSER', 'default', '-info')
    const program = await startWith(['serve'], redis.port)
    await program.until(/does not require a password/)
    await program.until(/INFO command fails/)
    await program.until(/"msg":"Redis is used"/)
    const { stderr } = await program.stop()
    const lines = stderr.trimEnd().split('\n')
    const log = lines.map((line) => JSON.parse(line) as { msg: string; text?: string })
    const printed = log.filter(({ msg }) => msg === 'a library printed a message')
    expect(printed.map(({ text }) => text)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/password/),
        expect.stringMatching(/INFO command fails/),
      ]),
    )
    expect(stderr).not.toContain('unneeded')
  },
)

/** In an error, it repeats the password, which the limit of a message cuts. */
const REPEATED = `-NOPERM unneeded${'x'.repeat(905)}${' unneeded'.repeat(20)}\r\n`

/** The port of a Redis with these responses. */
async function hostileRedis({ info = REPEATED, evalsha = '+OK\r\n' } = {}): Promise<number> {
  const hostile = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (data) => {
      for (const command of data.toString('latin1').split(/(?=^\*\d+\r$)/m)) {
        if (/\ninfo\r/i.test(command)) socket.write(info)
        else socket.write(/\nevalsha\r/i.test(command) ? evalsha : '+OK\r\n')
      }
    })
  })
  onTestFinished(() => void hostile.close())
  return listenOnLoopback(hostile)
}

test('a password that a hostile Redis repeats is not in the log, wherever the text is cut', async () => {
  const program = await startWith(['serve'], await hostileRedis())
  await program.until(/INFO command fails/)
  await program.until(/"msg":"listening"/)
  const { stderr } = await program.stop()
  expect(stderr).toContain('NOPERM ***xxx')
  expect(stderr).not.toMatch(/unn/)
})

test('gatehouse validate --online does not print a password that a hostile Redis repeats', async () => {
  const program = await startWith(['validate', '--online'], await hostileRedis())
  const { code, stdout, stderr } = await program.ended
  expect(code).toBe(1)
  expect(stderr).toContain('NOPERM ***xxx')
  expect(stderr).toMatch(/^\[-\]redis failed: /m)
  expect(stdout + stderr).not.toMatch(/unn/)
})

test('what a hostile Redis says imitates no check of gatehouse validate --online, nor commands a terminal', async () => {
  const forged = '\n[+]redis ok\n\u001b[2J\u009b1A\u202etxet\r\n'
  const port = await hostileRedis({ info: `-NOPERM a${forged}`, evalsha: `-ERR b${forged}` })
  const program = await startWith(['validate', '--online'], port)
  const { code, stdout, stderr } = await program.ended
  expect(code).toBe(1)
  expect(stderr).toMatch(/^\[-\]redis failed: ERR b; \[\+\]redis ok; \[2J 1A txet$/m)
  expect(stderr).toMatch(/NOPERM a; \[\+\]redis ok; \[2J 1A txet/)
  expect(stdout + stderr).not.toMatch(/^\[\+\]redis|(?!\n)[\p{Cc}\p{Cf}]/mu)
})
