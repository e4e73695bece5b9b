/** Groups from a directory, which is a real OpenLDAP server: no token makes them those of another user. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { headerValues } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import { replaceFile } from '../support/files.ts'
import { noSecretsFor } from '../support/gatehouse.ts'
import {
  groupSourceConfiguration,
  hasSlapd,
  startDirectory,
  type TestDirectory,
} from '../support/slapd.ts'

const PODS = '/api/v1/namespaces/d/pods'
const SECRETS = '/api/v1/namespaces/d/secrets'

describe.skipIf(!hasSlapd)('groups from a directory', () => {
  let slapd: TestDirectory
  let attack: Attack

  beforeEach(async () => {
    slapd = await startDirectory()
  })
  afterEach(async () => {
    await attack.expectNoSecretLeaked()
    await attack.close()
    await slapd.stop()
  })

  async function start(overrides: object = {}): Promise<void> {
    const { groupSource, files } = groupSourceConfiguration(slapd, overrides)
    attack = await startAttack({
      rules: noSecretsFor('operators'),
      issuerOptions: { groupSource },
      files,
    })
    attack.keepSecret(slapd.bindPassword)
  }

  async function get(path: string, claims: Readonly<Record<string, unknown>>) {
    const bytes = `GET ${path} HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer(claims)}\r\n`
    const { value, received, events } = await attack.watching(
      async () => (await attack.send(bytes)).response,
    )
    const groups = received.map((request) => headerValues(request, 'impersonate-group'))
    return { status: value.status, body: value.body, groups, event: events[0]! }
  }

  test('decide, nested ones included, and a token that states groups is not asked about', async () => {
    await start()
    const nested = ['developers', 'engineering', 'everyone', 'all'].map((name) => `oidc:${name}`)
    expect((await get(SECRETS, { sub: 'ada' })).groups).toEqual([
      [...nested, 'system:authenticated'],
    ])
    expect(await get(SECRETS, { sub: 'grace' })).toMatchObject({ status: 403, groups: [] })
    expect((await get(PODS, { sub: 'grace' })).groups).toEqual([
      ['oidc:operators', 'system:authenticated'],
    ])
    const before = (await slapd.log()).length
    expect((await get(PODS, { sub: 'ada', groups: ['x'] })).status).toBe(200)
    expect((await slapd.log()).slice(before)).not.toContain('SRCH')
  })

  test.for([
    '*',
    '*)(uid=*',
    'grace)(uid=*',
    '*)(|(uid=ada',
    'a\u0000',
    '\\67race',
    'grace,ou=people',
  ])('are not those of another user for the name %j', async (sub) => {
    await start()
    const { status, groups, event } = await get(PODS, { sub })
    expect([status, groups]).toEqual([401, []])
    expect(event.responseStatus).toMatchObject({ code: 401 })
  })

  test('are refused for a name that two users have, and that is no list of names', async () => {
    await start()
    expect(await get(PODS, { sub: 'twin' })).toMatchObject({ status: 503, groups: [] })
    expect(attack.gatehouse.log.join('')).toContain('several such users')
    await attack.gatehouse.close()
    await start({ userClaim: 'names' })
    expect(await get(PODS, { names: ['ada'] })).toMatchObject({ status: 401, groups: [] })
    expect(await get(PODS, {})).toMatchObject({ status: 401, groups: [] })
  })

  test('that cannot be looked up are a 503, which names neither server nor account', async () => {
    await start()
    await slapd.stop()
    const { status, body, groups, event } = await get(PODS, { sub: 'ada' })
    expect([status, groups]).toEqual([503, []])
    expect(JSON.parse(body)).toMatchObject({ kind: 'Status', details: { retryAfterSeconds: 2 } })
    expect(body).not.toMatch(/localhost|gatehouse,dc|ECONNREFUSED/)
    expect(event.annotations['gatehouse/cause']).toContain('ECONNREFUSED')
    slapd = await startDirectory()
  })

  test('that cannot be looked up leave every deny rule for groups in force with onFailure: unknown', async () => {
    await start({ onFailure: 'unknown' })
    await slapd.stop()
    expect(await get(SECRETS, { sub: 'ada' })).toMatchObject({ status: 403, groups: [] })
    expect((await get(PODS, { sub: 'ada' })).groups).toEqual([['system:authenticated']])
    slapd = await startDirectory()
  })

  test('are looked up with a new password as soon as its file has changed', async () => {
    await start()
    await replaceFile(attack.gatehouse.file('ldap-password'), 'wrong\n')
    attack.gatehouse.gatehouse.reload()
    await expect.poll(async () => (await get(PODS, { sub: 'ada' })).status).toBe(503)
    await replaceFile(attack.gatehouse.file('ldap-password'), `${slapd.bindPassword}\n`)
    attack.gatehouse.gatehouse.reload()
    await expect.poll(async () => (await get(PODS, { sub: 'ada' })).status).toBe(200)
  })
})
