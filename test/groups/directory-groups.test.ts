/** Groups in a directory, which is a real OpenLDAP server; a hostile one is a stand-in. */
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'

import { freePort } from '../../dev/parts/free-ports.ts'
import { createDirectoryGroups } from '../../src/groups/directory-groups.ts'
import { ThrottledError, UnknownUserError } from '../../src/groups/group-source.ts'
import type { GroupSearchOptions } from '../../src/ldap/group-search.ts'
import {
  BOUND,
  entry,
  message,
  page,
  result,
  SEARCHED,
  startScripted,
} from '../support/ldap-messages.ts'
import {
  group,
  groupDN,
  hasSlapd,
  personDN,
  startDirectory,
  type TestDirectory,
} from '../support/slapd.ts'

const BASE = 'dc=example,dc=com'
const MANY = Array.from({ length: 1_200 }, (_, i) => `many-${i}`)

type Overrides = Partial<Omit<GroupSearchOptions, 'groups'>> & {
  readonly groups?: Partial<GroupSearchOptions['groups']>
  readonly bindPassword?: string
}

interface Server {
  readonly url: string
  readonly ca: string
  readonly bindPassword?: string
}

function sourceAt(
  server: Server,
  { groups, bindPassword = server.bindPassword ?? 'x', ...options }: Overrides = {},
) {
  return createDirectoryGroups(
    {
      ...{ servers: [server.url], startTLS: false, timeout: 10_000 },
      bindDN: `cn=gatehouse,${BASE}`,
      users: { baseDN: `ou=people,${BASE}`, filter: '(uid={username})' },
      groups: {
        ...{ baseDN: `ou=groups,${BASE}`, memberAttribute: 'member', nameAttribute: 'cn' },
        ...{ nested: 'walk', ...groups },
      },
      ...options,
    },
    { ca: server.ca, bindPassword },
  )
}

/** Accepts connections, says nothing, and keeps what it receives. */
async function startTrap() {
  const received: Buffer[] = []
  let connections = 0
  const server = createServer((socket) => {
    connections++
    socket.on('data', (chunk: Buffer) => received.push(chunk)).on('error', () => socket.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { server, port, connections: () => connections, received }
}

describe.skipIf(!hasSlapd)('the groups of a user in a directory', () => {
  let slapd: TestDirectory
  let trap: Awaited<ReturnType<typeof startTrap>>

  beforeAll(async () => {
    trap = await startTrap()
    const referral = (ou: string) => `dn: ou=elsewhere,ou=${ou},${BASE}
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: ldap://127.0.0.1:${trap.port}/ou=elsewhere,ou=${ou},${BASE}
`
    slapd = await startDirectory({
      ldif: [
        ...[referral('people'), referral('groups')],
        // In many groups, one of which is in many groups.
        `dn: uid=member,ou=people,${BASE}\nobjectClass: inetOrgPerson\nuid: member\ncn: m\nsn: m\n`,
        ...MANY.map((cn) => group(cn, [personDN('member')])),
        ...MANY.map((cn) => group(`of-${cn}`, [groupDN(cn)])),
      ].join('\n'),
      settings: 'index member eq',
      limits: 'size.soft=unlimited size.prtotal=unlimited',
    })
  })
  afterAll(async () => {
    await slapd.stop()
    trap.server.close()
  })

  const source = (overrides: Overrides = {}) =>
    sourceAt({ ...slapd, url: slapd.secureUrl }, overrides)

  const groupsOf = (user: string, overrides: Overrides = {}, timeout = 30_000) => {
    const limits = { signal: AbortSignal.timeout(timeout), deadline: Date.now() + timeout }
    return source(overrides).groupsOf(user, limits)
  }

  test('are those of which the user is a member, and groups in groups', async () => {
    expect(await groupsOf('ada')).toEqual(['developers', 'engineering', 'everyone', 'all'])
    expect(await groupsOf('ada', { groups: { nested: 'none' } })).toEqual(['developers'])
    const upgraded = { servers: [slapd.plainUrl], startTLS: true }
    expect(await groupsOf('grace', upgraded)).toEqual(['operators'])
  })

  test('are found for the user alone, without a password of the user', async () => {
    const before = (await slapd.log()).length
    await groupsOf('ada')
    const binds = (await slapd.log()).slice(before).match(/BIND dn="[^"]*" method/g)
    expect(new Set(binds)).toEqual(new Set([`BIND dn="${slapd.bindDN}" method`]))
  })

  test('are those of this user, whatever the name would mean in a filter', async () => {
    expect(await groupsOf('a*(b)\\c')).toEqual([])
    const names = [
      '*',
      'ad*',
      '*)(uid=*',
      'ada)(uid=*',
      'ada)(|(uid=*',
      '\\61da',
      '{username}',
      "$'",
    ]
    for (const name of [...names, '', 'ada\0', 'ada\nuid: x', 'a'.repeat(10_000), '\ud800']) {
      await expect(groupsOf(name)).rejects.toBeInstanceOf(UnknownUserError)
    }
  })

  test('of a name that several users have are not given, and the name is not unknown', async () => {
    const error = await groupsOf('twin').catch((one: unknown) => one)
    expect(error).not.toBeInstanceOf(UnknownUserError)
    expect(String(error)).toContain('several such users')
  })

  test('are not looked for at a server that a referral names', async () => {
    expect(await groupsOf('grace')).toEqual(['operators'])
    await expect(
      groupsOf('grace', {
        users: { baseDN: `ou=elsewhere,ou=people,${BASE}`, filter: '(uid={username})' },
      }),
    ).rejects.toThrow('LDAP result 10')
    await expect(
      groupsOf('grace', { groups: { baseDN: `ou=elsewhere,ou=groups,${BASE}` } }),
    ).rejects.toThrow('LDAP result 10')
    expect(trap.connections()).toBe(0)
  })

  test('may be thousands, in pages, and in others by the hundred', async () => {
    const names = await groupsOf('member')
    expect(new Set(names)).toEqual(new Set([...MANY, ...MANY.map((cn) => `of-${cn}`)]))
  })

  test('that the directory does not list completely are not given', async () => {
    const limited = await startDirectory({
      ldif: MANY.map((cn) => group(cn, [personDN('grace')])).join('\n'),
    })
    onTestFinished(() => limited.stop())
    const search = sourceAt({ ...limited, url: limited.secureUrl })
    const limits = { signal: AbortSignal.timeout(10_000), deadline: Date.now() + 10_000 }
    await expect(search.groupsOf('grace', limits)).rejects.toThrow(/LDAP result (4|11)/)
  })

  test('are not given if one of them has no name, for which a deny rule could not apply', async () => {
    await expect(groupsOf('ada', { groups: { nameAttribute: 'description' } })).rejects.toThrow(
      'the attribute description of "cn=developers,ou=groups,dc=example,dc=com" has no value',
    )
  })

  test('are not given without the password of the service account, which is not tried again', async () => {
    const before = (await slapd.log()).length
    const servers = [slapd.secureUrl, slapd.secureUrl]
    const search = source({ bindPassword: 'wrong', servers })
    const limits = { signal: AbortSignal.timeout(10_000), deadline: Date.now() + 10_000 }
    for (const user of ['ada', 'grace']) {
      const failure = await search.groupsOf(user, limits).catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(ThrottledError)
      expect(failure).toMatchObject({ retryAfter: 1_800_000 })
      expect(String(failure)).toContain(`does not accept "${slapd.bindDN}" (LDAP result 49`)
    }
    expect((await slapd.log()).slice(before).match(/BIND dn=/g)).toHaveLength(1)
  })

  test('can be asked for, as the check says, which looks nobody up', async () => {
    const before = (await slapd.log()).length
    const limits = { signal: AbortSignal.timeout(10_000), deadline: Date.now() + 10_000 }
    await source().check?.(limits)
    await expect(source({ bindPassword: 'wrong' }).check?.(limits)).rejects.toBeInstanceOf(
      ThrottledError,
    )
    const servers = [`ldaps://localhost:${await freePort()}`, slapd.secureUrl]
    const partial = source({ servers }).check?.(limits)
    await expect(partial).rejects.toMatchObject({ isPartial: true })
    await expect(partial).rejects.toThrow('(another server works)')
    expect((await slapd.log()).slice(before)).not.toContain('SRCH')
  })

  test('come from the next server if one says nothing, which is then asked last', async () => {
    const silent = await startTrap()
    onTestFinished(() => void silent.server.close())
    const servers = [`ldaps://127.0.0.1:${silent.port}`, slapd.secureUrl]
    const search = source({ servers, timeout: 2_000 })
    for (let i = 0; i < 3; i++) {
      const limits = { signal: AbortSignal.timeout(10_000), deadline: Date.now() + 10_000 }
      expect(await search.groupsOf('grace', limits)).toEqual(['operators'])
    }
    expect(silent.connections()).toBe(1)
  })

  test('are not asked for in plain text if somebody strips StartTLS', async () => {
    const received: Buffer[] = []
    const stripping = createServer((socket) => {
      socket.on('error', () => socket.destroy())
      socket.on('data', (chunk: Buffer) => {
        received.push(chunk)
        // Message 2, ExtendedResponse, protocolError: as a server that does not have StartTLS.
        socket.write(Buffer.from('300c02010278070a010204000400', 'hex'))
      })
    }).listen(0, '127.0.0.1')
    onTestFinished(() => void stripping.close())
    await once(stripping, 'listening')
    const { port } = stripping.address() as AddressInfo
    const servers = [`ldap://127.0.0.1:${port}`]
    await expect(groupsOf('ada', { servers, startTLS: true })).rejects.toThrow()
    const bytes = Buffer.concat(received).toString('latin1')
    expect(bytes).toContain('1.3.6.1.4.1.1466.20037')
    expect(bytes).not.toContain(slapd.bindPassword)
    expect(bytes).not.toContain('ada')
  })
})

describe('a directory that is hostile, or fails', () => {
  type Result = Parameters<typeof startScripted>[0]

  /** A search result: entries, a code, and a cookie if more pages follow. */
  const found =
    (entries: readonly Buffer[], { code = 0, cookie = '' } = {}): Result =>
    (id) =>
      Buffer.concat([
        ...entries.map((one) => message(id, one)),
        message(id, result(SEARCHED, code), page(cookie)),
      ])
  const ADA = found([entry('uid=ada')])
  const inGroup = (...cn: (string | Buffer)[]) => found([entry('cn=a', { cn })])

  async function find(results: readonly Result[], { timeout = 5_000 } = {}) {
    const bound: Result = (id) => message(id, result(BOUND))
    const directory = await startScripted((id) => ([bound, ...results][id - 1] ?? found([]))(id))
    const limits = { signal: AbortSignal.timeout(timeout), deadline: 0 }
    return { directory, groups: sourceAt(directory).groupsOf('ada', limits) }
  }

  test('has the groups of an entry, behind an empty page as well', async () => {
    expect(await (await find([ADA, inGroup('dev', 'ops')])).groups).toEqual(['dev', 'ops'])
    const pages = [ADA, found([], { cookie: 'x' }), inGroup('dev')]
    expect(await (await find(pages)).groups).toEqual(['dev'])
  })

  test.for<readonly [what: string, results: readonly Result[], problem: string]>([
    ['two entries', [found([entry('a'), entry('b')])], 'several such users'],
    ['one entry twice', [found([entry('a'), entry('a')])], 'several such users'],
    ['one entry of several', [found([entry('a')], { code: 4 })], 'several such users'],
    ['an entry without a DN', [found([entry('')])], 'empty DN'],
    ['a failure', [found([], { code: 51 })], 'LDAP result 51'],
    ['a referral', [ADA, found([], { code: 10 })], 'LDAP result 10'],
    ['the end of the connection', [() => 'end'], 'closed the connection'],
    ['the end of the connection before the groups', [ADA, () => 'end'], 'closed the connection'],
    ['bytes that are no response', [ADA, () => Buffer.from('30050201030500', 'hex')], 'malformed'],
    ['groups that are not complete', [ADA, found([], { code: 4 })], 'LDAP result 4'],
    ['a group without a name', [ADA, found([entry('cn=a')])], 'no value'],
    ['a group with an empty name', [ADA, inGroup('')], 'is empty'],
    ['a group with a name of other bytes', [ADA, inGroup(Buffer.of(0x61, 0xff))], 'not UTF-8'],
    [
      'groups in endless groups',
      [ADA, ...Array.from({ length: 20 }, (_, i) => found([entry(`cn=${i}`, { cn: [`g${i}`] })]))],
      'nested more than 10 deep',
    ],
    ['endless pages', [ADA, ...Array.from({ length: 30 }, (_, i) => pageOf(i))], 'more than 10000'],
  ])('%s: no groups are given', async ([, results, problem]) => {
    const { groups } = await find(results)
    const error = await groups.catch((one: unknown) => one)
    expect(error).not.toBeInstanceOf(UnknownUserError)
    expect(String(error)).toContain(problem)
  })

  test('no entry: the user is unknown', async () => {
    const { groups } = await find([found([])])
    await expect(groups).rejects.toBeInstanceOf(UnknownUserError)
  })

  test('silence: the lookup ends with its signal, and so does the connection', async () => {
    const { directory, groups } = await find([ADA, () => undefined], { timeout: 300 })
    await expect(groups).rejects.toThrow('timeout')
    await expect.poll(directory.open).toBe(0)
  })

  test('many lookups at once have few connections, and who gives up while waiting has none', async () => {
    const directory = await startScripted((id) =>
      id === 1 ? message(id, result(BOUND)) : undefined,
    )
    const search = sourceAt(directory)
    const giveUp = new AbortController()
    const limits = { signal: giveUp.signal, deadline: 0 }
    const all = Array.from({ length: 40 }, (_, i) => search.groupsOf(`user-${i}`, limits))
    const settled = Promise.allSettled(all)
    await expect.poll(directory.open).toBe(8)
    giveUp.abort()
    await settled
    await expect.poll(directory.open).toBe(0)
    expect(directory.accepted()).toBe(8)
  })

  function pageOf(number: number): Result {
    const entries = Array.from({ length: 500 }, (_, i) =>
      entry(`cn=${number}-${i}`, { cn: [`g${number}-${i}`] }),
    )
    return found(entries, { cookie: 'more' })
  }
})
