/** `gatehouse validate --online` with a real Redis. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'

import { LOOPBACK } from '../../dev/loopback.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { SECRET, startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts'
import { validated } from '../support/validated.ts'

describe.skipIf(!hasRedis)('Redis', () => {
  let api: ApiServer
  let redis: TestRedis
  let folder: string
  let site: TestGatehouse

  beforeAll(async () => {
    ;[api, redis] = await Promise.all([startApiServer(), startRedis(['--requirepass', 'right'])])
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-online-'))
    await writeFile(join(folder, 'secret'), 'k'.repeat(64), SECRET)
    // For its files.
    site = await startTestGatehouse({ upstream: upstreamOf(api) })
    await site.gatehouse.close(true)
  })

  afterAll(async () => {
    await site.close()
    await Promise.all([api.close(), redis.close()])
    await rm(folder, { recursive: true })
  })

  async function run(password: string) {
    await writeFile(join(folder, 'password'), password, SECRET)
    const base = parse(await readFile(site.file('gatehouse.yaml'), 'utf8')) as object
    const addresses = [`${LOOPBACK}:${redis.port}`]
    const files = { passwordFile: join(folder, 'password'), secretFile: join(folder, 'secret') }
    const configFile = site.file('with-redis.yaml')
    const state = { type: 'redis', redis: { addresses, ...files } }
    await writeFile(configFile, stringify({ ...base, state }))
    return validated(configFile, { online: true })
  }

  test('that accepts the password passes, and has no replica afterwards', async () => {
    const { code, stdout, passwords } = await run('right')
    expect(code).toBe(0)
    expect(stdout).toContain('[+]redis ok\n')
    expect(passwords).toEqual(['right'])
    expect(await redis.command('ZCARD', 'gatehouse:{replicas}:alive')).toBe(0)
  })

  test('that rejects the password fails, with what Redis says', async () => {
    const { code, stdout, stderr } = await run('mistyped')
    expect(code).toBe(1)
    expect(stderr).toMatch(/^\[-\]redis failed: .*WRONGPASS/m)
    expect(stdout + stderr).not.toContain('mistyped')
    // The other checks are made all the same.
    expect(stdout).toContain('[+]upstream-asserts-identity ok\n')
  })

  test('that does not run fails', async () => {
    await redis.kill()
    const { code, stderr } = await run('right')
    await redis.start()
    expect(code).toBe(1)
    expect(stderr).toMatch(/^\[-\]redis failed: .*ECONNREFUSED/m)
  })
})
