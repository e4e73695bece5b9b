import { readFile } from 'node:fs/promises'

import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'
import { newNamespace } from '../support/cluster.ts'
import { certificateUser } from '../support/kubeconfig-user.ts'
import { overSPDY } from '../support/kubectl.ts'
import { readShippedRules, startSite, type Site } from '../support/site.ts'
import { createUser, CREDENTIALS, withCertificate, withToken, type User } from '../support/users.ts'

const NAMESPACE = newNamespace()
const MESSAGE =
  "The API server's proxy reaches inside the cluster network. Use kubectl port-forward instead."
const NO_SHELLS = {
  name: 'no-shells-for-trainees',
  effect: 'deny',
  subjects: { users: ['trainee'], groups: ['oidc:trainees'] },
  verbs: ['connect'],
  resources: [{ apiGroups: [''], resources: ['pods/*'] }],
  message: 'Ask a colleague to run this with you.',
}
const LOGGED_OUT = 'error: You must be logged in to the server (Unauthorized)\n'

/** How kubectl prints refusals. */
describe.skipIf(!inject('hasParts'))('a user who is refused', () => {
  let site: Site
  /** The administrator, directly at the API server. */
  let direct: User

  beforeAll(async () => {
    const shipped = await readShippedRules()
    site = await startSite({
      namespace: NAMESPACE,
      rules: { ...shipped, rules: [...shipped.rules, NO_SHELLS] },
    })
    const { controlPlane } = site.cluster
    const { url, caFile, admin } = controlPlane
    const server = { url, ca: await readFile(caFile, 'utf8') }
    direct = await createUser(controlPlane, server, 'kubernetes-admin', [], {
      'client-certificate': admin.certFile,
      'client-key': admin.keyFile,
    })
  })

  afterAll(() => site.stop())

  describe.each(CREDENTIALS)('and is authenticated by %s', (credential) => {
    let user: User

    beforeAll(() => {
      user = site.users[credential]
    })

    test.for([
      {
        resource: 'services',
        path: `/api/v1/namespaces/${NAMESPACE}/services/https:web:443/proxy/metrics`,
        name: 'https:web:443',
        where: `in the namespace "${NAMESPACE}"`,
      },
      {
        resource: 'pods',
        path: `/api/v1/namespaces/${NAMESPACE}/pods/web:8080/proxy/`,
        name: 'web:8080',
        where: `in the namespace "${NAMESPACE}"`,
      },
      {
        resource: 'nodes',
        path: '/api/v1/nodes/stand-in/proxy/pods',
        name: 'stand-in',
        where: 'at the cluster scope',
      },
    ])('gets the reason why $resource/proxy is denied', async ({ resource, path, name, where }) => {
      const got = await user.kubectl(['get', '--raw', path])
      const created = await user.kubectl(['create', '--raw', path, '-f', '-'], { input: '{}' })
      const text = (verb: string) =>
        `Error from server (Forbidden): ${resource} "${name}" is forbidden: ` +
        `User "${user.username}" cannot ${verb} resource "${resource}/proxy" in API group "" ` +
        `${where}: ${MESSAGE} (Gatehouse rule "no-proxy-subresources")\n`
      expect(got).toEqual({ code: 1, stdout: '', stderr: text('get') })
      expect(created).toEqual({ code: 1, stdout: '', stderr: text('create') })
    })

    test.for([
      'get nodes',
      'get secrets --namespace=kube-system',
      'get secret one --namespace=kube-system',
      'create namespace mine',
      'delete node stand-in',
      'create clusterrolebinding mine --clusterrole=cluster-admin --user=ada',
      'get --raw /metrics',
      'get pod absent',
      'create configmap kube-root-ca.crt',
      'patch pod web --type=merge --patch={"metadata":{"labels":{"of":"no/value"}}}',
      'patch pod web --type=merge --patch={"spec":{"nodeName":"other"}}',
      'get pods --field-selector=no.such=field',
      'exec web --container=absent -- true',
    ])('gets the same error as from the API server itself: %s', async (line) => {
      const args = line.split(' ')
      const asUser = [`--as=${user.username}`, ...user.groups.map((name) => `--as-group=${name}`)]
      const through = await user.kubectl(args)
      expect(through.code).toBe(1)
      expect(through).toEqual(await direct.kubectl([...asUser, ...args]))
    })

    test.for([
      '--as=eve',
      '--as=eve --as-group=system:masters',
      '--as=eve --as-uid=7',
      '--as=system:serviceaccount:kube-system:default',
    ])('cannot impersonate another user: %s', async (line) => {
      const got = await user.kubectl(['get', 'pods', ...line.split(' ')])
      expect(got.code).toBe(1)
      expect(got.stderr).toMatch(
        /^Error from server \(Forbidden\): impersonation through Gatehouse is not allowed: leave out --as/,
      )
    })
  })

  describe.each([
    { protocol: 'WebSocket', env: {} },
    { protocol: 'SPDY', env: overSPDY },
  ])('by a rule over $protocol', ({ env }) => {
    test.for(CREDENTIALS)('gets the message of the rule (%s)', async (credential) => {
      const { controlPlane } = site.cluster
      const trainee =
        credential === 'OIDC token'
          ? await withToken(controlPlane, site.gatehouse, { groups: ['engineers', 'trainees'] })
          : await withCertificate(controlPlane, site.gatehouse, { commonName: 'trainee' })
      const text = (subresource: string) =>
        `unable to upgrade connection: pods "web" is forbidden: User "${trainee.username}" ` +
        `cannot create resource "pods/${subresource}" in API group "" in the namespace "${NAMESPACE}": ` +
        `${NO_SHELLS.message} (Gatehouse rule "${NO_SHELLS.name}")\n`
      const result = async (...args: string[]) => {
        const { code, stderr } = await trainee.kubectl(args, { env })
        return { code, stderr }
      }
      const exec = { code: 1, stderr: `error: ${text('exec')}` }
      expect(await result('exec', 'web', '--', 'true')).toEqual(exec)
      expect(await result('cp', 'kubeconfig', 'web:stolen')).toEqual(exec)
      expect(await result('attach', '--quiet', 'web')).toEqual({
        code: 1,
        stderr: `error: ${text('attach')}`,
      })
      expect(await result('port-forward', 'pod/web', ':80')).toEqual({
        code: 1,
        stderr: `error: error upgrading connection: ${text('portforward')}`,
      })
      expect(await result('logs', 'web', '--tail=1')).toEqual({ code: 0, stderr: '' })
    })
  })

  test('because of a path of more than 64 KiB over HTTP/2 reads an error code', async () => {
    // The code that HPACK has for an X is as long as the letter.
    const path = `/${'X'.repeat(66_000)}`
    const { code, stderr } = await site.users['OIDC token'].kubectl(['get', '--raw', path])
    expect(code).toBe(1)
    expect(stderr.slice(-300)).toMatch(
      /http2: server sent GOAWAY and closed the connection; .*ErrCode=COMPRESSION_ERROR/,
    )
  })

  describe('because of the credential', () => {
    test('is not logged in by an unknown, expired or misused certificate', async () => {
      const unknown = await createAuthority({ commonName: 'users' })
      const { clientAuthority } = site.gatehouse
      const now = Date.now()
      const past = { notBefore: new Date(now - 7_200_000), notAfter: new Date(now - 3_600_000) }
      const ada = { commonName: 'ada', organizations: ['engineers'] }
      for (const pair of [
        await unknown.issue({ ...ada, usages: ['client'] }),
        await clientAuthority.issue({ ...ada, usages: ['client'], ...past }),
        await clientAuthority.issue({ ...ada, usages: ['server'] }),
      ]) {
        expect(await resultFor(certificateUser(pair))).toEqual(refused(LOGGED_OUT))
      }
    })

    test('is not logged in by an invalid token', async () => {
      const seconds = Math.floor(Date.now() / 1000)
      const good = await site.gatehouse.token({ groups: ['engineers'] })
      for (const token of [
        'nonsense',
        `${good.slice(0, -4)}AAAA`,
        await site.gatehouse.token({ exp: seconds - 60 }),
        await site.gatehouse.token({ nbf: seconds + 600 }),
        await site.gatehouse.token({ aud: 'another' }),
        await site.gatehouse.token({ iss: 'https://issuer.invalid' }),
      ]) {
        expect(await resultFor({ token })).toEqual(refused(LOGGED_OUT))
      }
    })

    test('is not logged in by a token that is too long, and reads what to do', async () => {
      const groups = Array.from({ length: 1_000 }, (_, i) => `group-${i}`.padEnd(30, 'x'))
      const token = await site.gatehouse.token({ groups })
      expect(await resultFor({ token })).toEqual(
        refused(
          'error: You must be logged in to the server (Unauthorized: the token is longer than 40960 ' +
            'characters; ask your administrator for tokens with fewer groups or claims)\n',
        ),
      )
    })

    test('is not logged in by a password', async () => {
      const password = { username: 'ada', password: 'secret' }
      expect(await resultFor(password)).toEqual(refused(LOGGED_OUT))
    })

    test('is not logged in by a token of the cluster itself', async () => {
      const created = await site.cluster.admin(['-n', NAMESPACE, 'create', 'token', 'default'])
      expect(await resultFor({ token: created.stdout.trim() })).toEqual(refused(LOGGED_OUT))
    })

    test.for([
      {
        subject: { commonName: 'ada', organizations: ['system:masters'] },
        text: 'group "system:masters" is reserved for Kubernetes',
      },
      {
        subject: { commonName: 'system:admin', organizations: ['engineers'] },
        text: 'user name "system:admin" is reserved for Kubernetes',
      },
      {
        subject: { commonName: 'system:serviceaccount:kube-system:default', organizations: [] },
        text: 'user name "system:serviceaccount:kube-system:default" is reserved for Kubernetes',
      },
    ])('gets the message that $text', async ({ subject, text }) => {
      const pair = await site.gatehouse.certificate(subject)
      expect(await resultFor(certificateUser(pair))).toEqual(
        refused(`Error from server (Forbidden): identity rejected: ${text}\n`),
      )
    })

    async function resultFor(user: Readonly<Record<string, string>>) {
      const { controlPlane } = site.cluster
      const { kubectl } = await createUser(controlPlane, site.gatehouse, 'ada', [], user)
      return kubectl(['get', '--raw', '/api'])
    }
  })

  test('caused no request with the rights of Gatehouse itself', async () => {
    expect(await site.cluster.eventsOfGatehouseItself()).toEqual([])
  })
})

function refused(stderr: string): object {
  return { code: 1, stdout: '', stderr }
}
