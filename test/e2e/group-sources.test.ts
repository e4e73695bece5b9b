/** Groups of a file as the real API server sees them, up to the largest number that may be configured. */
import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { stringify } from 'yaml'

import type { UserInfo } from '../../src/authentication/authenticator.ts'
import { joinCluster, newNamespace, type Cluster } from '../support/cluster.ts'
import { replaceFile } from '../support/files.ts'
import { startTestGatehouse, type TestGatehouse } from '../support/gatehouse.ts'
import { succeed } from '../support/kubectl.ts'
import { withToken, type User } from '../support/users.ts'

/** With the prefix, they take almost all of the 262,144 bytes. */
const MANY = Array.from({ length: 4_998 }, (_, i) => `group-${i}`.padEnd(47, 'x'))

describe.skipIf(!inject('hasParts'))('a user with groups in a file', () => {
  let cluster: Cluster
  let gatehouse: TestGatehouse
  let membersFile: string

  beforeAll(async () => {
    cluster = await joinCluster({ namespace: newNamespace(), pod: false })
    const directory = await mkdtemp(join(cluster.controlPlane.directory, 'groups-'))
    membersFile = join(directory, 'members.yaml')
    await writeFile(membersFile, members(['viewers'], ['ada']))
    gatehouse = await startTestGatehouse({
      upstream: { kubeconfig: cluster.gatehouseKubeconfig },
      issuerOptions: { groupSource: { file: membersFile, when: 'always' } },
      configuration: { authentication: { maxGroups: 5_000, maxIdentityBytes: 262_144 } },
    })
    const { namespace } = cluster.controlPlane
    const binding = ['create', 'rolebinding', 'viewers', '--clusterrole=view']
    await succeed(cluster.admin, ['-n', namespace, ...binding, '--group=oidc:viewers'])
  })

  afterAll(async () => {
    await gatehouse.close()
    await cluster.stop()
  })

  function members(groups: readonly string[], users: readonly string[]): string {
    const list = groups.map((name) => ({ name, members: users }))
    const document = { apiVersion: 'gatehouse/v1', kind: 'GroupMemberships', groups: list }
    return stringify(document, { aliasDuplicateObjects: false })
  }

  const userWith = (sub: string): Promise<User> =>
    withToken(cluster.controlPlane, gatehouse, { sub, groups: [] })

  async function groupsOf(user: User): Promise<readonly string[]> {
    const { stdout } = await user.kubectl(['auth', 'whoami', '-o', 'json'])
    const { status } = JSON.parse(stdout) as { status: { userInfo: UserInfo } }
    return status.userInfo.groups
  }

  const LIST = ['get', 'configmaps', '-o', 'name']

  test('has the rights of a group while the file names the user', async () => {
    const [ada, grace] = await Promise.all(['ada', 'grace'].map(userWith))
    expect((await ada!.kubectl(LIST)).stdout).toBe('configmap/kube-root-ca.crt\n')
    expect((await grace!.kubectl(LIST)).stderr).toContain('User "oidc:grace" cannot list')
    await replaceFile(membersFile, members(['viewers'], ['grace']))
    gatehouse.gatehouse.reload()
    await expect
      .poll(async () => (await ada!.kubectl(LIST)).stderr, { interval: 200 })
      .toContain('User "oidc:ada" cannot list')
    expect((await grace!.kubectl(LIST)).stdout).toBe('configmap/kube-root-ca.crt\n')
  })

  test('may have 5,000 groups, which all reach the API server, in a list and in a watch', async () => {
    await replaceFile(membersFile, members(['viewers', ...MANY], ['ada']))
    gatehouse.gatehouse.reload()
    const ada = await userWith('ada')
    await expect
      .poll(async () => (await groupsOf(ada)).length, { interval: 500 })
      .toBe(MANY.length + 2)
    expect(await groupsOf(ada)).toEqual([
      ...['viewers', ...MANY].map((name) => `oidc:${name}`),
      'system:authenticated',
    ])
    const { namespace } = cluster.controlPlane
    const path = `/api/v1/namespaces/${namespace}/configmaps?watch=true&timeoutSeconds=1`
    const watched = await ada.kubectl(['get', '--raw', path])
    expect(watched).toMatchObject({ code: 0, stderr: '' })
    expect(watched.stdout).toContain('kube-root-ca.crt')
  })

  test('with one group more is rejected, and the message names the number and the limit', async () => {
    await replaceFile(membersFile, members(['viewers', 'a', 'b', ...MANY], ['ada']))
    gatehouse.gatehouse.reload()
    const ada = await userWith('ada')
    await expect
      .poll(async () => (await ada.kubectl(LIST)).stderr, { interval: 500 })
      .toContain('identity rejected: 5001 groups exceed the limit of 5000')
  })
})
