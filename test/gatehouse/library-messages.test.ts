/** What libraries print is logged as JSON: shown with the library for Redis. */
import { readFile, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'

import { expect, onTestFinished, test } from 'vitest'

import { parse, stringify } from 'yaml'

import { LOOPBACK } from '../../dev/loopback.ts'
import { startApiServer } from '../support/api-server.ts'
import { SECRET, startTestGatehouse, upstreamOf } from '../support/gatehouse.ts'
import { startProgram } from '../support/program.ts'
import { hasRedis, startRedis } from '../support/redis.ts'

const start = resolve(import.meta.dirname, '../../src/start.ts')

test.skipIf(!hasRedis)(
  'a password that Redis does not need, and a user who may not run INFO, are lines of the log',
  { timeout: 120_000 },
  async () => {
    const api = await startApiServer()
    onTestFinished(() => api.close())
    const redis = await startRedis()
    onTestFinished(() => redis.close())
    await redis.command('ACL', 'SETUSER', 'default', '-info')
    // For its files.
    const gatehouse = await startTestGatehouse({ upstream: upstreamOf(api) })
    onTestFinished(() => gatehouse.close())
    const file = (name: string): string => gatehouse.file(name)
    await writeFile(file('secret'), 'k'.repeat(64), SECRET)
    await writeFile(file('password'), 'unneeded', SECRET)
    const base = parse(await readFile(file('gatehouse.yaml'), 'utf8')) as object
    const addresses = [`${LOOPBACK}:${redis.port}`]
    const state = {
      type: 'redis',
      redis: { addresses, secretFile: 'secret', passwordFile: 'password' },
    }
    await writeFile(file('other.yaml'), stringify({ ...base, audit: { stdout: {} }, state }))
    const program = startProgram(
      process.execPath,
      [start, 'serve', '--config', file('other.yaml')],
      { cwd: gatehouse.directory, env: process.env },
    )
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
