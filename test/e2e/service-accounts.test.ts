/** Tokens of real service accounts, by TokenRequest and TokenReview of a real kube-apiserver. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { parse } from 'yaml'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

import type { UserInfo } from '../../src/authentication/authenticator.ts'
import { newNamespace } from '../support/cluster.ts'
import { command } from '../support/command.ts'
import { succeed } from '../support/kubectl.ts'
import { START } from '../support/sign-in-world.ts'
import { startSite, type Site } from '../support/site.ts'
import { createUser, type User } from '../support/users.ts'

const NAMESPACE = newNamespace()
const ISSUER = 'https://kubernetes.default.svc.cluster.local'
const CREDENTIAL_ID = 'authentication.kubernetes.io/credential-id'

describe.skipIf(!inject('hasParts'))('a service account', () => {
  let site: Site

  beforeAll(async () => {
    const configuration = {
      authentication: { serviceAccounts: { issuers: [ISSUER], audiences: ['gatehouse'] } },
    }
    site = await startSite({ namespace: NAMESPACE, isAlone: true, configuration })
    await grantReviews()
    await admin('create', 'serviceaccount', 'builder')
    await admin(
      ...['create', 'rolebinding', 'builders', '--clusterrole=view'],
      `--serviceaccount=${NAMESPACE}:builder`,
    )
  })

  afterAll(() => site.stop())

  async function admin(...args: string[]): Promise<string> {
    const result = await site.cluster.admin(['-n', NAMESPACE, ...args])
    if (result.code !== 0) throw new Error(result.stderr)
    return result.stdout.trim()
  }

  /** Grants what deploy/kubernetes/10-rbac.yaml has in comments for service accounts. */
  async function grantReviews(): Promise<void> {
    const text = await readFile('deploy/kubernetes/10-rbac.yaml', 'utf8')
    const block = text.slice(text.indexOf('# For `authentication.serviceAccounts`'))
    const rules = block
      .slice(block.indexOf('  # - apiGroups'), block.indexOf('\n---'))
      .replaceAll(/^ {2}# /gm, '')
    const file = join(site.cluster.controlPlane.directory, 'reviews.json')
    const subject = { kind: 'ServiceAccount', name: 'gatehouse', namespace: 'gatehouse' }
    const apiVersion = 'rbac.authorization.k8s.io/v1'
    const metadata = { name: 'gatehouse-service-accounts' }
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', ...metadata }
    const items = [
      { apiVersion, kind: 'ClusterRole', metadata, rules: parse(rules) as unknown },
      { apiVersion, kind: 'ClusterRoleBinding', metadata, roleRef, subjects: [subject] },
    ]
    await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
    await succeed(site.cluster.admin, ['apply', '-f', file])
  }

  async function userOf(account: string, ...args: string[]): Promise<User> {
    const token = await admin('create', 'token', account, ...args)
    return createUser(site.cluster.controlPlane, site.gatehouse, account, [], { token })
  }

  async function whoami(user: User): Promise<UserInfo> {
    const { stdout, stderr } = await user.kubectl(['auth', 'whoami', '-o', 'json'])
    expect(stderr).toBe('')
    return (JSON.parse(stdout) as { status: { userInfo: UserInfo } }).status.userInfo
  }

  test('is the user of its token, with its groups and rights, for kubectl', async () => {
    const user = await userOf('builder', '--audience=gatehouse')
    const info = await whoami(user)
    expect(info).toMatchObject({
      username: `system:serviceaccount:${NAMESPACE}:builder`,
      uid: await admin('get', 'serviceaccount', 'builder', '-o', 'jsonpath={.metadata.uid}'),
      groups: [
        'system:serviceaccounts',
        `system:serviceaccounts:${NAMESPACE}`,
        'system:authenticated',
      ],
    })
    expect(info.extra[CREDENTIAL_ID]?.[0]).toMatch(/^JTI=/)
    expect(await user.kubectl(['get', 'pods', '-o', 'name'])).toMatchObject({
      code: 0,
      stdout: 'pod/web\n',
    })
    const denied = await user.kubectl(['delete', 'pod', 'web'])
    expect(denied.stderr).toMatch(/cannot delete resource "pods"/)
  })

  test('has the pod and the node for which its token was issued', async () => {
    const user = await userOf(
      'default',
      ...['--audience=gatehouse', '--bound-object-kind=Pod', '--bound-object-name=web'],
    )
    expect((await whoami(user)).extra).toMatchObject({
      'authentication.kubernetes.io/pod-name': ['web'],
      'authentication.kubernetes.io/node-name': [expect.any(String)],
    })
  })

  test('signs in beside the users of certificates and of issuers', async () => {
    for (const user of Object.values(site.users)) {
      expect((await whoami(user)).username).toBe(user.username)
    }
  })

  test('is who Argo CD is, by the Secret that gatehouse kubeconfig prints', async () => {
    const token = await admin('create', 'token', 'builder', '--audience=gatehouse')
    const folder = site.cluster.controlPlane.directory
    const [tokenFile, caFile] = [join(folder, 'argocd-token'), join(folder, 'argocd-ca.crt')]
    await writeFile(tokenFile, `${token}\n`)
    await writeFile(caFile, site.gatehouse.ca)
    const { code, stdout, stderr } = await command(process.execPath, [
      ...[START, 'kubeconfig', site.gatehouse.url, '--ca-file', caFile, '--context', 'Team A'],
      ...['--argocd', '--token-file', tokenFile, '--namespace', NAMESPACE],
    ])
    expect([code, stderr]).toEqual([0, expect.stringMatching(/^The token expires at 20/)])

    const manifest = join(folder, 'argocd.yaml')
    await writeFile(manifest, stdout)
    await admin('apply', '--server-side', '-f', manifest)
    const label = 'argocd.argoproj.io/secret-type=cluster'
    const found = JSON.parse(await admin('get', 'secrets', '-l', label, '-o', 'json')) as {
      items: [{ metadata: { name: string }; data: Record<'name' | 'server' | 'config', string> }]
    }
    const [{ metadata, data }] = found.items
    const text = (value: string): string => Buffer.from(value, 'base64').toString()
    expect([metadata.name, text(data.name)]).toEqual(['cluster-team-a', 'Team A'])
    const config = JSON.parse(text(data.config)) as {
      bearerToken: string
      tlsClientConfig: { insecure: boolean; caData: string }
    }
    expect(config.tlsClientConfig.insecure).toBe(false)
    await writeFile(caFile, text(config.tlsClientConfig.caData))
    // As Argo CD's ClusterConfig is turned into a rest.Config.
    const listed = await command(site.cluster.controlPlane.kubectl, [
      ...['--kubeconfig=/dev/null', `--server=${text(data.server)}`],
      ...[`--certificate-authority=${caFile}`, `--token=${config.bearerToken}`],
      ...['-n', NAMESPACE, 'get', 'pods', '-o', 'name'],
    ])
    expect(listed).toMatchObject({ code: 0, stdout: 'pod/web\n' })
  })

  test('is refused with a token for the API server itself', async () => {
    const user = await userOf('builder')
    expect((await user.kubectl(['get', 'pods'])).stderr).toMatch(/Unauthorized|logged in/)
  })

  test('is refused if it is Gatehouse’s own', async () => {
    const token = await admin(
      '-n',
      'gatehouse',
      'create',
      'token',
      'gatehouse',
      '--audience=gatehouse',
    )
    const user = await createUser(site.cluster.controlPlane, site.gatehouse, 'gatehouse', [], {
      token,
    })
    expect((await user.kubectl(['get', 'pods'])).stderr).toMatch(
      /identity rejected: .*is Gatehouse's own account/,
    )
  })

  test('is refused within seconds after it was deleted, and its watch ends', async () => {
    await admin('create', 'serviceaccount', 'leaver')
    await admin(
      ...['create', 'rolebinding', 'leavers', '--clusterrole=view'],
      `--serviceaccount=${NAMESPACE}:leaver`,
    )
    const user = await userOf('leaver', '--audience=gatehouse')
    const watch = user.start(['get', 'pods', '-w'])
    await expect.poll(() => watch.stdout).toContain('web')
    await admin('delete', 'serviceaccount', 'leaver')
    await expect
      .poll(async () => (await user.kubectl(['get', 'pods'])).stderr, { interval: 1_000 })
      .toMatch(/Unauthorized|logged in/)
    await watch.ended
  })
})
