/** A real Active Directory domain: Samba as its controller. */
import { X509Certificate } from 'node:crypto'

import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'

import { createDirectoryGroups } from '../../src/groups/directory-groups.ts'
import { UnknownUserError } from '../../src/groups/group-source.ts'
import { createDirectory, DirectoryRefused } from '../../src/ldap/directory.ts'
import type { DirectoryOptions } from '../../src/ldap/options.ts'
import { UserUnusable } from '../../src/ldap/search.ts'
import { joinCluster, newNamespace } from '../support/cluster.ts'
import { command } from '../support/command.ts'
import { ALLOW_ALL, startTestGatehouse } from '../support/gatehouse.ts'
import { succeed } from '../support/kubectl.ts'
import { examplesFor } from '../support/ldap-document.ts'
import { START, startSignInWorld } from '../support/sign-in-world.ts'
import { createUser } from '../support/users.ts'
import {
  BASE,
  GROUPS,
  hasSamba,
  PASSWORD,
  PEOPLE,
  personDN,
  startDomainController,
  type DomainController,
} from '../support/samba.ts'

const BY_ACCOUNT = '(&(objectCategory=person)(objectClass=user)(sAMAccountName={username}))'
const BY_PRINCIPAL = '(&(objectCategory=person)(objectClass=user)(userPrincipalName={username}))'
/** LDAP_MATCHING_RULE_BIT_AND: without accounts that are disabled. */
const ENABLED = '(&(sAMAccountName={username})(!(userAccountControl:1.2.840.113556.1.4.803:=2)))'

type Users = Partial<DirectoryOptions['users']>

interface Search {
  readonly filter?: string
  readonly baseDN?: string
  readonly nested?: NonNullable<DirectoryOptions['groups']>['nested']
  readonly servers?: readonly string[]
  readonly startTLS?: boolean
}

describe.skipIf(!hasSamba)('Active Directory', () => {
  let domain: DomainController

  beforeAll(async () => {
    domain = await startDomainController()
  })
  afterAll(() => domain.stop())

  const server = () => ({
    ...{ servers: [domain.secureUrl], startTLS: false, timeout: 30_000, bindDN: domain.bindDN },
  })
  const groups = { baseDN: GROUPS, memberAttribute: 'member', nameAttribute: 'sAMAccountName' }
  const secrets = () => ({ ca: domain.ca, bindPassword: domain.bindPassword })

  function groupsOf(
    user: string,
    { filter = BY_ACCOUNT, baseDN = PEOPLE, nested = 'activeDirectory', ...more }: Search = {},
  ) {
    const users = { baseDN, filter }
    const source = createDirectoryGroups(
      { ...server(), users, groups: { ...groups, nested }, ...more },
      secrets(),
    )
    const limits = { signal: AbortSignal.timeout(60_000), deadline: Date.now() + 60_000 }
    return source.groupsOf(user, limits)
  }

  function signIn(username: string, password: string, users: Users = {}) {
    const search = { baseDN: BASE, filter: BY_ACCOUNT, usernameAttribute: 'sAMAccountName' }
    const directory = createDirectory(
      {
        ...{ ...server(), users: { ...search, ...users } },
        groups: { ...groups, nested: 'activeDirectory' },
      },
      secrets,
    )
    const attempt = { admit: () => undefined, accepted: () => undefined }
    return directory.signIn(username, password, attempt)
  }

  describe('as a source of groups', () => {
    test('finds groups in groups by its own rule, and in cycles', async () => {
      const all = ['developers', 'engineering', 'everyone']
      expect((await groupsOf('ada')).toSorted()).toEqual(all)
      expect((await groupsOf('ada', { nested: 'walk' })).toSorted()).toEqual(all)
      expect(await groupsOf('ada', { nested: 'none' })).toEqual(['developers'])
      const startTLS = { servers: [domain.plainUrl], startTLS: true }
      expect((await groupsOf('ada', startTLS)).toSorted()).toEqual(all)
    })

    test('finds users by userPrincipalName, whose domain may be another one', async () => {
      const filter = BY_PRINCIPAL
      expect(await groupsOf('grace@example.com', { filter })).toEqual(['operators'])
      for (const user of [
        'grace@ad.example.com',
        'grace',
        '*',
        'grace*',
        'grace@example.com)(cn=*',
      ]) {
        await expect(groupsOf(user, { filter })).rejects.toBeInstanceOf(UnknownUserError)
      }
    })

    test('lists hundreds of groups, page by page', async () => {
      expect(new Set(await groupsOf('busy'))).toHaveLength(600)
    })

    test('does not follow the referrals of a search in the whole domain', async () => {
      expect(await groupsOf('grace', { baseDN: BASE })).toEqual(['operators'])
    })

    test('has the groups of a disabled account, unless the filter excludes it', async () => {
      expect(await groupsOf('eve')).toEqual(['operators'])
      await expect(groupsOf('eve', { filter: ENABLED })).rejects.toBeInstanceOf(UnknownUserError)
      expect(await groupsOf('grace', { filter: ENABLED })).toEqual(['operators'])
    })

    test('has changes at once', async () => {
      await domain.changeMembers('developers', { add: personDN('Grace Hopper') })
      expect((await groupsOf('grace')).toSorted()).toEqual([
        ...['developers', 'engineering', 'everyone', 'operators'],
      ])
      await domain.changeMembers('developers', { remove: personDN('Grace Hopper') })
      expect(await groupsOf('grace')).toEqual(['operators'])
    })
  })

  describe('as a directory of passwords', () => {
    test('signs in by sAMAccountName and by userPrincipalName', async () => {
      expect(await signIn('ADA', PASSWORD)).toEqual({
        dn: personDN('Lovelace\\, Ada (R*D)'),
        ...{ username: 'ada', uid: '', groups: expect.arrayContaining(['everyone']) as string[] },
      })
      const byPrincipal = { filter: BY_PRINCIPAL, usernameAttribute: 'userPrincipalName' }
      expect(await signIn('grace@example.com', PASSWORD, byPrincipal)).toMatchObject({
        ...{ username: 'grace@example.com', groups: ['operators'] },
      })
    })

    test('rejects a wrong password, and the right one of a disabled account', async () => {
      await expect(signIn('ada', 'wrong')).rejects.toBeInstanceOf(DirectoryRefused)
      await expect(signIn('eve', PASSWORD)).rejects.toBeInstanceOf(DirectoryRefused)
      await expect(signIn('*', PASSWORD)).rejects.toBeInstanceOf(DirectoryRefused)
    })

    test('has no text in objectGUID, which is refused as a UID', async () => {
      await expect(signIn('ada', PASSWORD, { uidAttribute: 'objectGUID' })).rejects.toBeInstanceOf(
        UserUnusable,
      )
    })

    test('locks an account after wrong passwords, and the right one is rejected', async () => {
      await domain.lockAfter(3)
      expect(await signIn('heidi', PASSWORD)).toMatchObject({ username: 'heidi' })
      for (let i = 0; i < 3; i++) {
        await expect(signIn('heidi', `wrong ${i}`)).rejects.toBeInstanceOf(DirectoryRefused)
      }
      await expect(signIn('heidi', PASSWORD)).rejects.toBeInstanceOf(DirectoryRefused)
      await domain.lockAfter(0)
    })
  })

  /** The examples of docs/ldap.md, at this domain controller. */
  const documented = examplesFor('Active Directory')
  const here = () => ({ servers: [domain.secureUrl], bindDN: domain.bindDN })
  const files = () => ({ 'ldap-ca.crt': domain.ca, 'ldap-password': `${domain.bindPassword}\n` })

  test.skipIf(!inject('hasParts'))(
    'gives kubectl the rights of a group that is reached through others, by userPrincipalName',
    async () => {
      const cluster = await joinCluster({ namespace: newNamespace(), pod: false })
      onTestFinished(() => cluster.stop())
      const { groupSource: source } = documented
      const groupSource = { ...source, ldap: { ...source.ldap, ...here() } }
      const gatehouse = await startTestGatehouse({
        ...{ upstream: { kubeconfig: cluster.gatehouseKubeconfig }, rules: ALLOW_ALL },
        ...{ issuerOptions: { groupSource }, files: files() },
      })
      onTestFinished(() => gatehouse.close())
      const { namespace } = cluster.controlPlane
      const binding = ['create', 'rolebinding', 'everyone', '--clusterrole=view']
      await succeed(cluster.admin, ['-n', namespace, ...binding, '--group=oidc:everyone'])
      const userWith = async (sub: string, upn: string) => {
        const token = await gatehouse.token({ sub, upn })
        return createUser(cluster.controlPlane, gatehouse, `oidc:${sub}`, [], { token })
      }
      const LIST = ['get', 'configmaps', '-o', 'name']

      const ada = await userWith('ada', 'ada@ad.example.com')
      expect((await ada.kubectl(LIST)).stdout).toBe('configmap/kube-root-ca.crt\n')
      const grace = await userWith('grace', 'grace@example.com')
      expect((await grace.kubectl(LIST)).stderr).toContain('User "oidc:grace" cannot list')
      for (const [sub, upn] of [
        ['nobody', 'nobody@example.com'],
        ['eve', 'eve@ad.example.com'],
      ] as const) {
        const refused = await userWith(sub, upn)
        expect((await refused.kubectl(LIST)).stderr).toContain(
          'You must be logged in to the server',
        )
      }
    },
  )

  test('gives a certificate to gatehouse login, for a password', async () => {
    const world = await startSignInWorld({
      signIn: { caFile: 'serving-ca.crt' },
      issuing: { directories: [{ ...documented.directory, ...here() }] },
      files: files(),
    })
    onTestFinished(() => world.close())
    const user = await world.user()
    const trust = ['--ca-fingerprint', new X509Certificate(world.gatehouse.ca).fingerprint256]
    const args = ['login', world.gatehouse.url, ...trust, '--method', 'company-ldap']
    const login = await command(
      process.execPath,
      [START, ...args, '--cache', 'file', '--account', 'ADA', '--password-stdin'],
      { cwd: user.home, env: user.env, input: `${PASSWORD}\n` },
    )
    expect(login).toMatchObject({ code: 0 })
    const { stdout } = await user.run(['whoami'])
    expect(stdout).toMatch(/^User +ldap:ada$/m)
    expect(stdout).toContain('ldap:everyone')
  })
})
