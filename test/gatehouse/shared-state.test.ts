import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'
import { ConfigError } from '../../src/config/problem.ts'
import { configurationSchema, type Configuration } from '../../src/config/schema.ts'
import { redisPart } from '../../src/gatehouse/shared-state.ts'

const SECRET = 'k'.repeat(64)

describe('the files of state.redis', () => {
  let folder: string
  const at = (name: string) => join(folder, name)

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-shared-state-'))
    const { certificatePem } = await createAuthority({ commonName: 'redis-ca' })
    const files = { password: 'pass word\n', secret: `${SECRET}\n`, 'ca.crt': certificatePem }
    for (const [name, text] of Object.entries(files)) {
      await writeFile(at(name), text, { mode: 0o600 })
    }
  })
  afterEach(() => rm(folder, { recursive: true }))

  function part(redis: object = {}) {
    const { state } = configurationSchema.shape
    const parsed: Configuration['state'] = state.parse({
      type: 'redis',
      redis: {
        addresses: ['redis.example:6379'],
        passwordFile: at('password'),
        secretFile: at('secret'),
        caFile: at('ca.crt'),
        ...redis,
      },
    })
    return redisPart(parsed)!
  }

  function problems(): readonly (readonly [string, string])[] {
    try {
      part().load()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      return error.problems.map(({ field, message }) => [field, message])
    }
    return expect.fail('there is no problem')
  }

  test('are loaded, without the end of the line of the password', () => {
    expect(part().load()).toMatchObject({ password: 'pass word', secret: { previous: [] } })
    expect(part().files(part().load())).toHaveLength(3)
  })

  test('are all reported when they are wrong, and nothing of their text is', async () => {
    await writeFile(at('password'), '\n')
    await writeFile(at('secret'), 'too short')
    await writeFile(at('ca.crt'), SECRET)
    expect(problems()).toEqual([
      ['state.redis.passwordFile', 'is empty'],
      ['state.redis.caFile', 'contains no certificate'],
      ['state.redis.secretFile', 'secret 1 of 1 has fewer than 32 bytes'],
    ])
  })

  test('may not have two passwords, or a certificate that is cut off', async () => {
    await writeFile(at('password'), 'one\ntwo\n')
    await writeFile(at('ca.crt'), '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n')
    expect(problems()).toEqual([
      ['state.redis.passwordFile', 'has more than one line'],
      ['state.redis.caFile', 'certificate 1 of 1 cannot be parsed'],
    ])
  })

  const warnings = (redis: object = {}) => {
    const configured = part(redis)
    const { warnings: found } = configured.report(configured.load(), Date.now())
    return found.map(({ message }) => message)
  }

  test('are warned about when others can read secrets', async () => {
    expect(warnings()).toEqual([])
    await chmod(at('secret'), 0o644)
    expect(warnings()).toEqual(['holds a secret, and every user of this machine can read it'])
  })

  test('are warned about when a password leaves the machine without TLS', () => {
    const without = (addresses: readonly string[]) => warnings({ caFile: undefined, addresses })
    expect(without(['redis.example:6379'])).toEqual(['is sent to redis.example:6379 without TLS'])
    expect(without(['127.evil.example:1'])).toHaveLength(1)
    expect(without(['127.0.0.1:6379', '[::1]:6379', 'localhost:1'])).toEqual([])
  })
})

describe('an address', () => {
  const { state } = configurationSchema.shape
  const isValid = (address: string) =>
    state.safeParse({ redis: { addresses: [address], secretFile: 's' } }).success

  test.for(['redis:6379', '10.0.0.1:1', '[fd00::1]:65535', 'a.b-c.example:26379'])(
    '%s is valid',
    (address) => {
      expect(isValid(address)).toBe(true)
    },
  )

  test.for(['redis', 'redis:0', 'redis:65536', '-a:1', 'fd00::1:6379', 'a b:1', 'redis://a:1'])(
    '%s is not valid',
    (address) => {
      expect(isValid(address)).toBe(false)
    },
  )
})
