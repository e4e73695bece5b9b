/**
 * A token without its groups claim, and groups whose names cannot be asserted: neither passes a deny rule for
 * a group.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { headerValues } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import { noSecretsFor } from '../support/gatehouse.ts'

const SECRETS = '/api/v1/namespaces/d/secrets'
const PODS = '/api/v1/namespaces/d/pods'

let attack: Attack

async function get(path: string, claims: Readonly<Record<string, unknown>>) {
  const fields = await attack.bearer(claims)
  const bytes = `GET ${path} HTTP/1.1\r\nHost: gatehouse\r\n${fields}\r\n`
  const { value, received, events } = await attack.watching(
    async () => (await attack.send(bytes)).response,
  )
  return { ...value, received, event: events[0]! }
}

describe('by default', () => {
  beforeAll(async () => {
    attack = await startAttack({ rules: noSecretsFor('contractors') })
  })
  afterAll(async () => {
    await attack.expectNoSecretLeaked()
    await attack.close()
  })

  test.for([
    ['without the claim', {}],
    ['with null in its place', { groups: null }],
  ] as const)('a token %s is denied what a group is denied', async ([, claims]) => {
    const { status, body, received, event } = await get(SECRETS, claims)
    expect(status).toBe(403)
    expect(received).toEqual([])
    const { message } = JSON.parse(body) as { message: string }
    expect(message).toContain('the token has no groups claim')
    expect(message).toContain('request the scope for groups')
    expect(event.annotations).toMatchObject({
      'gatehouse/rule': 'no-secrets-for-contractors',
      'gatehouse/unassertedGroups': 'unknown',
    })
    expect(event.annotations['authorization.k8s.io/reason']).toContain('has no groups claim')
  })

  test('the user is let in where no rule asks for groups, with no groups', async () => {
    const { status, received, event } = await get(PODS, {})
    expect(status).toBe(200)
    expect(headerValues(received[0]!, 'impersonate-group')).toEqual(['system:authenticated'])
    expect(event.annotations['gatehouse/unassertedGroups']).toBe('unknown')
  })

  test('an empty list is known to be empty', async () => {
    const { status, event } = await get(SECRETS, { groups: [] })
    expect(status).toBe(200)
    expect(event.annotations).not.toHaveProperty('gatehouse/unassertedGroups')
  })
})

test('missingGroups: refuse refuses such a token, and accepts one with an empty list', async () => {
  attack = await startAttack({ issuerOptions: { missingGroups: 'refuse' } })
  const { status, body, received, event } = await get(PODS, {})
  expect(status).toBe(401)
  expect(received).toEqual([])
  expect(JSON.parse(body)).toMatchObject({ message: 'Unauthorized' })
  expect(event.annotations['gatehouse/cause']).toContain('the token has no groups claim groups')
  expect((await get(PODS, { groups: [] })).status).toBe(200)
  await attack.close()
})

test('unusableGroups: drop lets a user with such a group in, except where a deny rule counts it', async () => {
  attack = await startAttack({
    rules: noSecretsFor('contractors'),
    configuration: { authentication: { unusableGroups: 'drop' } },
  })
  const groups = ['dev', 'contractors ']
  const { status, received, event } = await get(PODS, { groups })
  expect(status).toBe(200)
  const asserted = headerValues(received[0]!, 'impersonate-group')
  expect(asserted).toEqual(['oidc:dev', 'system:authenticated'])
  const unasserted = '["oidc:contractors ","oidc:contractors"]'
  expect(event.annotations['gatehouse/unassertedGroups']).toBe(unasserted)
  const denied = await get(SECRETS, { groups })
  expect(denied.status).toBe(403)
  expect(denied.body).toContain('only deny rules count it')
  const warning = attack.gatehouse.log.find((line) => line.includes('dropped groups'))
  expect(JSON.parse(warning ?? '{}')).toMatchObject({ level: 'warn', username: 'oidc:ada' })
  expect(warning).toContain('contractors ')
  await attack.close()
})

test('by default a user with such a group is rejected, and the refusal names the group', async () => {
  attack = await startAttack()
  const { status, body } = await get(PODS, { groups: ['contractors '] })
  expect(status).toBe(403)
  expect(body).toContain('begins or ends with whitespace')
  await attack.close()
})

describe('with allowedGroups', () => {
  beforeAll(async () => {
    attack = await startAttack({
      rules: noSecretsFor('contractors'),
      issuerOptions: { allowedGroups: ['oidc:dev', 'oidc:team-*'] },
      configuration: { authentication: { maxGroups: 2 } },
    })
  })
  afterAll(async () => {
    await attack.expectNoSecretLeaked()
    await attack.close()
  })

  test('the API server sees only these groups, and deny rules count all of them', async () => {
    const groups = [
      'contractors',
      'team-a',
      'dev',
      ...Array.from({ length: 500 }, (_, i) => `g${i}`),
    ]
    const { status, received, event } = await get(PODS, { groups })
    expect(status).toBe(200)
    expect(headerValues(received[0]!, 'impersonate-group')).toEqual([
      ...['oidc:team-a', 'oidc:dev', 'system:authenticated'],
    ])
    expect(event.annotations['gatehouse/unassertedGroups']).toContain('"oidc:contractors"')
    const denied = await get(SECRETS, { groups })
    expect(denied.status).toBe(403)
    expect(denied.received).toEqual([])
    expect(denied.body).toContain('only deny rules count it')
    expect(attack.gatehouse.log.join('')).not.toContain('dropped groups')
  })

  test('a token without its groups stays one with unknown groups', async () => {
    const { status, event } = await get(SECRETS, {})
    expect(status).toBe(403)
    expect(event.annotations['gatehouse/unassertedGroups']).toBe('unknown')
  })

  test('the limit counts the groups that are left', async () => {
    const two = ['team-a', 'team-b', 'team-c'].slice(1)
    expect((await get(PODS, { groups: [...two, 'x', 'y'] })).status).toBe(200)
    const { status, body, received } = await get(PODS, { groups: [...two, 'team-a'] })
    expect(status).toBe(403)
    expect(received).toEqual([])
    expect((JSON.parse(body) as { message: string }).message).toBe(
      'identity rejected: 3 groups exceed the limit of 2: ask your administrator for a credential with fewer groups',
    )
  })

  test('a group that only resembles an allowed one is not asserted', async () => {
    const groups = ['DEV', 'dev,oidc:team-a', 'xteam-a', 'team']
    const { received } = await get(PODS, { groups })
    expect(headerValues(received[0]!, 'impersonate-group')).toEqual(['system:authenticated'])
  })
})
