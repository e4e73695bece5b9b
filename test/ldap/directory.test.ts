/** A directory, which is a real OpenLDAP server. */
import { createServer, type AddressInfo } from 'node:net'

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'
import { createDirectory, DirectoryRefused } from '../../src/ldap/directory.ts'
import { UserUnusable } from '../../src/ldap/search.ts'
import { DirectoryUnavailable } from '../../src/ldap/connection.ts'
import type { DirectoryOptions, DirectoryUser } from '../../src/ldap/options.ts'
import {
  BOUND,
  entry,
  message,
  page,
  result,
  SEARCHED,
  startScripted,
} from '../support/ldap-messages.ts'
import { hasSlapd, personDN, startDirectory, type TestDirectory } from '../support/slapd.ts'

type Values = Readonly<Record<string, readonly (Buffer | string)[]>>

const INVALID = Buffer.from([0x61, 0xff])
const ADA: Values = { uid: ['ada'] }
const UNCOUNTED = { admit: () => undefined, accepted: () => undefined }

describe.skipIf(!hasSlapd)('a directory', () => {
  let slapd: TestDirectory

  beforeAll(async () => {
    slapd = await startDirectory()
  })
  afterAll(() => slapd.stop())

  type Overrides = Partial<Omit<DirectoryOptions, 'groups'>> & {
    readonly nested?: 'none' | 'walk'
    readonly ca?: string
    readonly bindPassword?: string
  }

  function directory({ nested = 'walk', ca, bindPassword, ...options }: Overrides = {}) {
    return createDirectory(
      {
        servers: [slapd.secureUrl],
        startTLS: false,
        timeout: 5_000,
        bindDN: slapd.bindDN,
        users: {
          baseDN: 'ou=people,dc=example,dc=com',
          filter: '(uid={username})',
          usernameAttribute: 'uid',
          uidAttribute: 'employeeNumber',
        },
        groups: {
          baseDN: 'ou=groups,dc=example,dc=com',
          memberAttribute: 'member',
          nameAttribute: 'cn',
          nested,
        },
        ...options,
      },
      () => ({ ca: ca ?? slapd.ca, bindPassword: bindPassword ?? slapd.bindPassword }),
    )
  }

  const signIn = (overrides: Overrides, username = 'ada', password = slapd.password) =>
    directory(overrides).signIn(username, password, UNCOUNTED)

  test('finds the user, checks the password, and walks groups in groups, also in a cycle', async () => {
    expect(await signIn({})).toEqual({
      dn: personDN('ada'),
      username: 'ada',
      uid: 'E-ada',
      groups: ['developers', 'engineering', 'everyone', 'all'],
    })
    expect((await signIn({ nested: 'none' })).groups).toEqual(['developers'])
  })

  test('upgrades to TLS before any password is sent', async () => {
    const upgraded = await signIn({ servers: [slapd.plainUrl], startTLS: true })
    expect(upgraded.username).toBe('ada')
  })

  test('the user name is the spelling of the directory, whatever was typed', async () => {
    expect((await signIn({}, 'ADA')).username).toBe('ada')
  })

  test('what was typed is not read as a filter', async () => {
    expect((await signIn({}, 'a*(b)\\c')).username).toBe('a*(b)\\c')
    for (const typed of ['*', 'ad*', 'ada)(uid=*', 'ada)(|(uid=*', '\\61da', '{username}', "$'"]) {
      await expect(signIn({}, typed)).rejects.toBeInstanceOf(DirectoryRefused)
    }
  })

  test.for([
    ['a wrong password', 'ada', 'wrong'],
    ['no password, which would be an anonymous bind', 'ada', ''],
    ['an unknown user', 'nobody', 'x'],
    ['two users of one name', 'twin', 'correct horse'],
    ['no user name', '', 'x'],
    ['a user name with a line break', 'ada\nuid: x', 'x'],
    ['an endless user name', 'a'.repeat(10_000), 'x'],
    ['an endless password', 'ada', 'x'.repeat(10_000)],
  ] as const)('%s is refused', async ([, username, password]) => {
    await expect(signIn({}, username, password)).rejects.toBeInstanceOf(DirectoryRefused)
  })

  describe('what is wrong with a user', () => {
    const cases = ['double', 'deep'] as const

    test.for(cases)('is nothing for a client without the password: %s', async (username) => {
      const events: string[] = []
      const attempt = { ...UNCOUNTED, accepted: () => events.push('accepted') }
      const wrong = directory().signIn(username, 'wrong', attempt)
      await expect(wrong).rejects.toBeInstanceOf(DirectoryRefused)
      expect(events).toEqual([])
      const right = directory().signIn(username, slapd.password, attempt)
      await expect(right).rejects.toBeInstanceOf(UserUnusable)
      expect(events).toEqual(['accepted'])
    })
  })

  describe('that returns one entry at most', () => {
    let limited: TestDirectory

    beforeAll(async () => {
      limited = await startDirectory({ limits: 'size.soft=1 size.hard=1 size.prtotal=1' })
    })
    afterAll(() => limited.stop())

    const signInAt = (username: string) =>
      signIn(
        { servers: [limited.secureUrl], ca: limited.ca, nested: 'none' },
        username,
        limited.password,
      )

    test('does not make one user of two', async () => {
      await expect(signInAt('twin')).rejects.toThrow('several such users')
      expect(await signInAt('ada')).toMatchObject({ groups: ['developers'] })
    })

    test('does not make a user a member of some groups only', async () => {
      await expect(signInAt('busy')).rejects.toThrow('cut off the search for groups')
    })
  })

  test('a password is in no error, and none is tried after a refused attempt', async () => {
    const before = await slapd.log()
    const refusing = directory().signIn('ada', 'typed secret', {
      ...UNCOUNTED,
      admit() {
        throw new Error('too many')
      },
    })
    await expect(refusing).rejects.toThrow('too many')
    expect((await slapd.log()).slice(before.length)).not.toContain(`BIND dn="${personDN('ada')}"`)
    const error: unknown = await signIn({}, 'ada', 'typed secret').catch((one: unknown) => one)
    expect(JSON.stringify([String(error), (error as Error).stack])).not.toContain('typed secret')
  })

  test('that rejects the service account is left alone, until its password is read again', async () => {
    let now = 0
    let secrets = { ca: slapd.ca, bindPassword: 'wrong' }
    const options = {
      ...{ servers: [slapd.secureUrl, slapd.secureUrl], startTLS: false, timeout: 5_000 },
      bindDN: slapd.bindDN,
      users: { baseDN: 'dc=example,dc=com', filter: '(uid={username})', usernameAttribute: 'uid' },
    }
    const rejecting = createDirectory(
      options,
      () => secrets,
      () => now,
    )
    const bindsOf = async () => {
      const before = (await slapd.log()).length
      await expect(rejecting.signIn('ada', slapd.password, UNCOUNTED)).rejects.toThrow(
        new DirectoryUnavailable(
          `${slapd.secureUrl} does not accept "${slapd.bindDN}" (LDAP result 49: InvalidCredentialsError); check bindPasswordFile`,
        ),
      )
      return (await slapd.log()).slice(before).match(/BIND dn=/g)?.length ?? 0
    }
    const binds: number[] = []
    for (const minutes of [0, 0, 29, 1]) {
      now += minutes * 60_000
      binds.push(await bindsOf())
    }
    expect(binds).toEqual([1, 0, 0, 1])
    secrets = { ...secrets, bindPassword: slapd.bindPassword }
    expect(await rejecting.signIn('ada', slapd.password, UNCOUNTED)).toMatchObject({
      username: 'ada',
    })
  })

  test('the next server is asked if one does not listen, or is not the one of the CA', async () => {
    const servers = ['ldaps://localhost:1', slapd.secureUrl]
    expect(await signIn({ servers })).toMatchObject({ username: 'ada' })
  })

  test('a server that accepts and says nothing is abandoned, and the next one is asked', async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1')
    onTestFinished(() => void silent.close())
    await new Promise((resolve) => silent.once('listening', resolve))
    const { port } = silent.address() as AddressInfo
    const timeout = 500
    const secure = [`ldaps://localhost:${port}`, slapd.secureUrl]
    expect(await signIn({ servers: secure, timeout: 2_000 })).toMatchObject({ username: 'ada' })
    const servers = [`ldap://localhost:${port}`]
    await expect(signIn({ servers, startTLS: true, timeout })).rejects.toBeInstanceOf(
      DirectoryUnavailable,
    )
  })

  test.for([
    [
      'another CA',
      async () => ({ ca: (await createAuthority({ commonName: 'x' })).certificatePem }),
    ],
    [
      'another name than in the certificate',
      async () => ({ servers: [slapd.secureUrl.replace('localhost', '127.0.0.1')] }),
    ],
    [
      'another name after an upgrade',
      async () => ({ startTLS: true, servers: [slapd.plainUrl.replace('localhost', '127.0.0.1')] }),
    ],
    ['a wrong password of the service account', async () => ({ bindPassword: 'x' })],
    [
      'a port for TLS that is upgraded',
      async () => ({
        startTLS: true,
        servers: [slapd.secureUrl.replace('ldaps', 'ldap')],
        timeout: 500,
      }),
    ],
  ] as const)('%s: no user password is sent', async ([, overrides]) => {
    const before = (await slapd.log()).length
    await expect(signIn(await overrides())).rejects.toBeInstanceOf(DirectoryUnavailable)
    expect((await slapd.log()).slice(before)).not.toContain('dn="uid=ada')
  })
})

describe('a directory whose texts are not clear', () => {
  test.for<readonly [what: string, user: Values, groups: readonly Values[], problem: string]>([
    ['a user name that is not UTF-8', { uid: [INVALID] }, [], 'uid of "uid=ada" is not UTF-8'],
    ['a user name that is empty', { uid: [''] }, [], 'uid of "uid=ada" is empty'],
    ['no user name', {}, [], 'uid of "uid=ada" has no value'],
    ['two user names', { uid: ['ada', 'eve'] }, [], 'uid of "uid=ada" has several values'],
    ['a group that is not UTF-8', ADA, [{ cn: [INVALID] }], 'cn of "cn=group 0" is not UTF-8'],
    [
      'a group with a second name that is not UTF-8',
      ADA,
      [{ cn: ['a'] }, { cn: ['b', INVALID] }],
      'cn of "cn=group 1" is not UTF-8',
    ],
    ['a group that is empty', ADA, [{ cn: [''] }], 'cn of "cn=group 0" is empty'],
    ['a group without a name', ADA, [{}], 'cn of "cn=group 0" has no value'],
  ])('%s is refused', async ([, user, groups, problem]) => {
    await expect(signInAtScript(user, groups)).rejects.toThrow(
      new UserUnusable(`the attribute ${problem}`),
    )
  })

  test('U+FEFF in front of a name is a part of it, which the identity guard refuses', async () => {
    const { username, groups } = await signInAtScript({ uid: ['\u{feff}ada'] }, [
      { cn: ['\u{feff}admins'] },
    ])
    expect([username, ...groups]).toEqual(['\u{feff}ada', '\u{feff}admins'])
  })
})

test('a directory that is slow gets few sign-ins at once, and few wait for it', async () => {
  let binds = 0
  const { url, ca } = await startScripted(() => {
    binds += 1
    return undefined
  })
  const directory = createDirectory(
    {
      ...{ servers: [url], startTLS: false, timeout: 10_000, bindDN: 'cn=gatehouse' },
      users: { baseDN: 'dc=x', filter: '(uid={username})', usernameAttribute: 'uid' },
    },
    () => ({ ca, bindPassword: 'x' }),
  )
  const refused: unknown[] = []
  for (let i = 0; i < 16 + 256 + 3; i++) {
    directory.signIn(`user ${i}`, 'x', UNCOUNTED).catch((error: unknown) => refused.push(error))
  }
  await expect.poll(() => binds).toBe(16)
  expect(refused).toEqual(
    Array.from({ length: 3 }, () => {
      return new DirectoryUnavailable('256 sign-ins wait for the directory')
    }),
  )
})

test('a directory that finds groups without end is asked for no more than there may be', async () => {
  let pages = 0
  const signIn = signInAtResponses((id) => {
    if (id < 3) return undefined
    pages += 1
    const groups = Array.from({ length: 500 }, (_, i) =>
      message(id, entry(`cn=${pages}.${i}`, { cn: [`${pages}.${i}`] })),
    )
    return Buffer.concat([...groups, message(id, result(SEARCHED), page('more'))])
  })
  await expect(signIn).rejects.toThrow(new UserUnusable('the user is in more than 1000 groups'))
  expect(pages).toBe(3)
})

async function signInAtScript(user: Values, groups: readonly Values[]): Promise<DirectoryUser> {
  return signInAtResponses((id) => {
    if (id === 2) return found(id, [['uid=ada', user]])
    return found(
      id,
      groups.map((values, i) => [`cn=group ${i}`, values] as const),
    )
  })
}

function found(id: number, list: readonly (readonly [dn: string, values: Values])[]): Buffer {
  return Buffer.concat([
    ...list.map(([dn, values]) => message(id, entry(dn, values))),
    message(id, result(SEARCHED)),
  ])
}

/** @param respond makes the responses to the searches, the second request and later ones; undefined: ada is found */
async function signInAtResponses(
  respond: (id: number) => Buffer | undefined,
): Promise<DirectoryUser> {
  const { url, ca } = await startScripted((id) =>
    id === 1 ? message(id, result(BOUND)) : (respond(id) ?? found(id, [['uid=ada', ADA]])),
  )
  const directory = createDirectory(
    {
      ...{ servers: [url], startTLS: false, timeout: 5_000, bindDN: 'cn=gatehouse' },
      users: { baseDN: 'dc=x', filter: '(uid={username})', usernameAttribute: 'uid' },
      groups: { baseDN: 'dc=x', memberAttribute: 'member', nameAttribute: 'cn', nested: 'none' },
    },
    () => ({ ca, bindPassword: 'x' }),
  )
  return directory.signIn('ada', 'x', UNCOUNTED)
}
