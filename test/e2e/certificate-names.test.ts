/** kubectl with the certificates of workloads, whose names come from URIs, and the real API server's RBAC. */
import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

import { createAuthority, type Authority } from '../../certs-dev/pki.ts'
import type { UserInfo } from '../../src/authentication/authenticator.ts'
import { joinCluster, newNamespace, type Cluster } from '../support/cluster.ts'
import { startTestGatehouse, type TestGatehouse } from '../support/gatehouse.ts'
import { certificateUser } from '../support/kubeconfig-user.ts'
import { succeed } from '../support/kubectl.ts'
import { createUser, withCertificate, withToken, type User } from '../support/users.ts'

const ID = 'spiffe://example.org/ns/web/sa/api'

describe.skipIf(!inject('hasParts'))('a workload with a SPIFFE ID', () => {
  let cluster: Cluster
  let gatehouse: TestGatehouse
  let workloads: Authority
  let workload: User

  beforeAll(async () => {
    cluster = await joinCluster({ namespace: newNamespace(), pod: false })
    const directory = await mkdtemp(join(cluster.controlPlane.directory, 'authorities-'))
    workloads = await createAuthority({ commonName: 'workloads' })
    await writeFile(join(directory, 'workloads.crt'), workloads.certificatePem)
    gatehouse = await startTestGatehouse({
      upstream: { kubeconfig: cluster.gatehouseKubeconfig },
      configuration: {
        authentication: {
          x509: {
            authorities: [
              {
                caFile: join(directory, 'workloads.crt'),
                usernameFrom: 'spiffeID',
                trustDomain: 'example.org',
                groupPrefix: 'workload:',
                groupMappings: [{ usernames: ['spiffe://example.org/ns/web/*'], groups: ['web'] }],
              },
            ],
          },
        },
      },
    })
    const { namespace } = cluster.controlPlane
    const binding = ['create', 'rolebinding', 'web', '--clusterrole=view', '--group=workload:web']
    await succeed(cluster.admin, ['-n', namespace, ...binding])
    workload = await withUri(ID)
  })

  afterAll(async () => {
    await gatehouse.close()
    await cluster.stop()
  })

  async function withUri(uri: string): Promise<User> {
    const issued = await workloads.issue({ commonName: '', uris: [uri], usages: ['client'] })
    return createUser(cluster.controlPlane, gatehouse, uri, [], certificateUser(issued))
  }

  async function whoami(user: User): Promise<Pick<UserInfo, 'username' | 'groups'>> {
    const { stdout } = await user.kubectl(['auth', 'whoami', '-o', 'json'])
    return (JSON.parse(stdout) as { status: { userInfo: UserInfo } }).status.userInfo
  }

  test('is the user and in the groups that the API server sees', async () => {
    expect(await whoami(workload)).toMatchObject({
      username: ID,
      groups: ['workload:web', 'system:authenticated'],
    })
  })

  test('has the rights of its mapped group, and no others', async () => {
    expect(await workload.kubectl(['get', 'configmaps', '-o', 'name'])).toMatchObject({
      code: 0,
      stdout: 'configmap/kube-root-ca.crt\n',
    })
    const refused = await workload.kubectl(['delete', 'configmap', 'kube-root-ca.crt'])
    expect(refused.stderr).toContain(`User "${ID}" cannot delete resource "configmaps"`)
    const other = await withUri('spiffe://example.org/ns/db/sa/api')
    expect((await other.kubectl(['get', 'configmaps'])).stderr).toContain('Forbidden')
  })

  test('of another trust domain is nobody', async () => {
    const nobody = await withUri('spiffe://example.com/ns/web/sa/api')
    expect((await nobody.kubectl(['get', 'configmaps'])).stderr).toContain(
      'You must be logged in to the server',
    )
  })

  test('does not change whom other certificates and tokens name', async () => {
    const ada = await withCertificate(cluster.controlPlane, gatehouse)
    expect((await whoami(ada)).username).toBe('ada')
    const token = await withToken(cluster.controlPlane, gatehouse)
    expect((await whoami(token)).username).toBe('oidc:ada')
  })
})
