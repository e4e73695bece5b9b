/** Groups from a real OpenLDAP server, as the real kubectl and the real API server see them. */
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

import { joinCluster, newNamespace, type Cluster } from '../support/cluster.ts'
import { noSecretsFor, startTestGatehouse, type TestGatehouse } from '../support/gatehouse.ts'
import { succeed } from '../support/kubectl.ts'
import {
  groupSourceConfiguration,
  hasSlapd,
  personDN,
  startDirectory,
  type TestDirectory,
} from '../support/slapd.ts'
import { createUser, type User } from '../support/users.ts'

describe.skipIf(!inject('hasParts') || !hasSlapd)('a user with groups in a directory', () => {
  let slapd: TestDirectory
  let cluster: Cluster
  let gatehouse: TestGatehouse

  beforeAll(async () => {
    ;[slapd, cluster] = await Promise.all([
      startDirectory(),
      joinCluster({ namespace: newNamespace(), pod: false }),
    ])
    const { groupSource, files } = groupSourceConfiguration(slapd, { cacheLifetime: '1s' })
    gatehouse = await startTestGatehouse({
      upstream: { kubeconfig: cluster.gatehouseKubeconfig },
      rules: noSecretsFor('operators'),
      issuerOptions: { groupSource },
      files,
    })
    // Of the group that ada is in by two others only.
    const { namespace } = cluster.controlPlane
    const binding = ['create', 'rolebinding', 'everyone', '--clusterrole=edit']
    await succeed(cluster.admin, ['-n', namespace, ...binding, '--group=oidc:everyone'])
    await succeed(cluster.admin, [
      ...['-n', namespace, 'create', 'rolebinding', 'operators', '--clusterrole=edit'],
      '--group=oidc:operators',
    ])
  })

  afterAll(async () => {
    await gatehouse.close()
    await cluster.stop()
    await slapd.stop()
  })

  async function userWith(sub: string): Promise<User> {
    const token = await gatehouse.token({ sub })
    return createUser(cluster.controlPlane, gatehouse, `oidc:${sub}`, [], { token })
  }

  const LIST = ['get', 'configmaps', '-o', 'name']
  const SECRETS = ['get', 'secrets', '-o', 'name']
  const SOON = { timeout: 20_000, interval: 300 }

  test('has the rights of a group that is reached through others, by RBAC', async () => {
    const ada = await userWith('ada')
    expect((await ada.kubectl(LIST)).stdout).toBe('configmap/kube-root-ca.crt\n')
    expect((await ada.kubectl(['auth', 'whoami'])).stdout).toContain(
      'oidc:developers oidc:engineering oidc:everyone oidc:all',
    )
  })

  test('is denied what a rule denies to a group, whatever RBAC allows', async () => {
    const grace = await userWith('grace')
    expect((await grace.kubectl(LIST)).stdout).toBe('configmap/kube-root-ca.crt\n')
    expect((await grace.kubectl(SECRETS)).stderr).toContain('no-secrets-for-operators')
  })

  test('who is removed from the group is out within the lifetime, with the watch that is running', async () => {
    const ada = await userWith('ada')
    const watch = ada.kubectl([...LIST, '--watch'])
    await gatehouse.eventsWhere(
      ({ stage, requestURI }) => stage === 'ResponseStarted' && requestURI.includes('watch'),
    )
    await slapd.changeMembers('developers', { add: personDN('twin-1'), remove: personDN('ada') })
    await expect
      .poll(async () => (await ada.kubectl(LIST)).stderr, SOON)
      .toContain('User "oidc:ada" cannot list')
    await watch
    await slapd.changeMembers('developers', { add: personDN('ada') })
    await expect
      .poll(async () => (await ada.kubectl(LIST)).stdout, SOON)
      .toBe('configmap/kube-root-ca.crt\n')
  })

  test('who is not in the directory is refused', async () => {
    const eve = await userWith('eve')
    expect((await eve.kubectl(LIST)).stderr).toContain('You must be logged in to the server')
    const [event] = await gatehouse.eventsWhere(
      ({ responseStatus }) => responseStatus?.code === 401,
    )
    expect(event?.annotations['gatehouse/cause']).toContain('the directory has no such user')
  })
})
