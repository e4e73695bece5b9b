import { X509Certificate } from 'node:crypto'

import { beforeAll, describe, expect, test } from 'vitest'

import { createAuthority, type Authority, type CertificateRequest } from '../../../certs-dev/pki.ts'
import type { UserInfo } from '../../../src/authentication/authenticator.ts'
import { createFindNames } from '../../../src/authentication/x509/authorities.ts'
import {
  PLAIN_NAMES,
  takenName,
  type NameOptions,
} from '../../../src/authentication/x509/certificate-names.ts'

let people: Authority
let machines: Authority

beforeAll(async () => {
  ;[people, machines] = await Promise.all([
    createAuthority({ commonName: 'people' }),
    createAuthority({ commonName: 'machines' }),
  ])
})

const PREFIXED: NameOptions = { ...PLAIN_NAMES, usernamePrefix: 'm:', groupPrefix: 'mg:' }

interface Bundle {
  readonly of: readonly { readonly certificatePem: string }[]
  readonly names: NameOptions | 'frontProxy'
}

/** The user of a certificate below the bundles, or the refusal. */
async function userOf(
  bundles: readonly Bundle[],
  issuer: Authority,
  request: Partial<CertificateRequest> = {},
  sent: readonly { readonly certificatePem: string }[] = [],
): Promise<Pick<UserInfo, 'username' | 'groups'> | string> {
  const issued = await issuer.issue({ commonName: 'ada', usages: ['client'], ...request })
  const chain = [issued, ...sent].map(({ certificatePem }) => new X509Certificate(certificatePem))
  const find = createFindNames(
    bundles.map(({ of, names }) => ({
      ca: of.map(({ certificatePem }) => certificatePem).join(''),
      names,
    })),
  )
  const { commonName = 'ada', organizations = [] } = request
  const user = { username: commonName, uid: '', groups: [], extra: {} }
  try {
    const names = find(chain)
    if (names === 'frontProxy') return names
    const { username, groups } = names(chain[0]!, {
      user: () => user,
      organizations,
      extra: {},
    })
    return { username, groups }
  } catch (error) {
    const { cause, message } = error as Error
    return cause instanceof Error ? cause.message : message
  }
}

describe('the names of a certificate', () => {
  const both = (): Bundle[] => [
    { of: [people], names: PLAIN_NAMES },
    { of: [machines], names: PREFIXED },
  ]

  test('are those of its CA', async () => {
    const request = { organizations: ['dev', 'dev', 'ops'] }
    expect(await userOf(both(), people, request)).toEqual({
      username: 'ada',
      groups: ['dev', 'ops'],
    })
    expect(await userOf(both(), machines, request)).toEqual({
      username: 'm:ada',
      groups: ['mg:dev', 'mg:ops'],
    })
  })

  test('are those of its CA below an intermediate that the client sends', async () => {
    const intermediate = await machines.createIntermediate({ commonName: 'racks' })
    expect(await userOf(both(), intermediate, {}, [intermediate])).toMatchObject({
      username: 'm:ada',
    })
    expect(await userOf(both(), intermediate, {}, [people])).toBe(
      'client certificate: its CA is no longer configured',
    )
  })

  test('of an intermediate CA in a file win over those of the file with its root', async () => {
    const intermediate = await people.createIntermediate({ commonName: 'robots' })
    const bundles = [
      { of: [people], names: PLAIN_NAMES },
      { of: [intermediate], names: PREFIXED },
    ]
    for (const sent of [[], [intermediate], [people], [intermediate, people]]) {
      expect(await userOf(bundles, intermediate, {}, sent)).toMatchObject({ username: 'm:ada' })
    }
    expect(await userOf(bundles, people)).toMatchObject({ username: 'ada' })
  })

  test('are not chosen by a client that sends more certificates', async () => {
    // The same key and name, signed by the other CA: the client can send a second path.
    const intermediate = await machines.createIntermediate({ commonName: 'racks' })
    expect(await userOf(both(), intermediate, {}, [intermediate, people, machines])).toMatchObject({
      username: 'm:ada',
    })
  })

  test("are nobody's if the CA is in two files", async () => {
    const bundles = both().map(({ names }) => ({ of: [people], names }))
    expect(await userOf(bundles, people)).toBe(
      'client certificate: it is below CAs of several files, which name users in different ways',
    )
  })

  test('are in the headers below a CA of front proxies', async () => {
    const bundles = [
      { of: [people], names: PLAIN_NAMES },
      { of: [machines], names: 'frontProxy' as const },
    ]
    expect(await userOf(bundles, machines)).toBe('frontProxy')
    expect(await userOf(bundles, people)).toMatchObject({ username: 'ada' })
  })

  test('of a CA without a prefix must not begin with the prefix of another one', async () => {
    expect(await userOf(both(), people, { commonName: 'm:ada' })).toBe(
      'identity rejected: user name "m:ada" begins with the prefix of a client CA, so only its certificates may name it',
    )
    expect(await userOf(both(), people, { organizations: ['dev', 'mg:ops'] })).toContain(
      'group "mg:ops" begins with the prefix of a client CA',
    )
    expect(await userOf(both(), machines, { commonName: 'm:ada' })).toMatchObject({
      username: 'm:m:ada',
    })
  })

  test('of a CA without a prefix must not be SPIFFE IDs of another one', async () => {
    const names = { ...PLAIN_NAMES, usernameFrom: 'spiffeID', trustDomain: 'example.org' } as const
    const bundles = [
      { of: [people], names: PLAIN_NAMES },
      { of: [machines], names },
    ]
    const id = 'spiffe://example.org/api'
    expect(await userOf(bundles, people, { commonName: id })).toContain('begins with the prefix')
    expect(await userOf(bundles, people, { commonName: 'spiffe://example.com/a' })).toMatchObject({
      username: 'spiffe://example.com/a',
    })
    const request = { uris: [id], organizations: ['system:masters'] }
    expect(await userOf(bundles, machines, request)).toEqual({ username: id, groups: [] })
    expect(await userOf(bundles, machines)).toBe(
      'client certificate: it has no URI in its subject alternative name',
    )
  })
})

test('mappings give groups in place of organizations, each once and with the prefix', async () => {
  const names: NameOptions = {
    ...PREFIXED,
    groupMappings: [
      { usernames: ['ada', 'b*'], organizations: [], groups: ['web', 'all'] },
      { usernames: [], organizations: ['Racks *'], groups: ['all', 'racks'] },
    ],
  }
  const groupsOf = async (request: Partial<CertificateRequest>) =>
    ((await userOf([{ of: [machines], names }], machines, request)) as UserInfo).groups
  expect(await groupsOf({})).toEqual(['mg:web', 'mg:all'])
  expect(await groupsOf({ commonName: 'bob' })).toEqual(['mg:web', 'mg:all'])
  expect(await groupsOf({ organizations: ['Racks 1', 'Racks 2', 'web'] })).toEqual([
    ...['mg:web', 'mg:all', 'mg:racks'],
  ])
  expect(await groupsOf({ commonName: 'm:ada', organizations: ['racks 1'] })).toEqual([])
})

test('names of other sources that begin with a prefix are taken, and an empty prefix takes none', () => {
  const user = (username: string, ...groups: string[]): UserInfo => ({
    ...{ username, uid: '', groups, extra: {} },
  })
  const prefixes = [
    { username: '', groups: '' },
    { username: 'm:', groups: 'mg:' },
  ]
  expect(takenName(user('ada', 'dev', 'm:'), prefixes)).toBeUndefined()
  expect(takenName(user('m:'), prefixes)).toContain('user name "m:"')
  expect(takenName(user('ada', 'dev', 'mg:x'), prefixes)).toContain('group "mg:x"')
})
