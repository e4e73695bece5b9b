import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { stringify } from 'yaml'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

import { newNamespace } from '../support/cluster.ts'
import type { Kubectl } from '../support/kubectl.ts'
import { startSite, type Site } from '../support/site.ts'
import { CREDENTIALS, type User } from '../support/users.ts'

const NAMESPACE = newNamespace()

/** Everyday commands, with a real kubectl through Gatehouse to a real API server. */
describe.skipIf(!inject('hasParts'))('kubectl', () => {
  let site: Site

  beforeAll(async () => {
    site = await startSite({ namespace: NAMESPACE })
  })

  afterAll(() => site.stop())

  describe.each(CREDENTIALS)('authenticated by %s', (credential) => {
    let user: User
    let kubectl: Kubectl
    /** The prefix of the names of this user's objects. */
    const own = credential === 'OIDC token' ? 'token' : 'certificate'

    beforeAll(() => {
      user = site.users[credential]
      kubectl = user.kubectl
    })

    test('auth whoami prints the user that the API server sees', async () => {
      const whoami = await kubectl(['auth', 'whoami', '-o', 'json'])
      const { status } = JSON.parse(whoami.stdout) as { status: { userInfo: object } }
      expect(status.userInfo).toMatchObject({ username: user.username, groups: user.groups })
    })

    test('auth can-i prints the decisions of RBAC', async () => {
      const mine = await kubectl(['auth', 'can-i', 'create', 'pods'])
      const notMine = await kubectl(['auth', 'can-i', 'create', 'pods', '-n', 'kube-system'])
      const list = await kubectl(['auth', 'can-i', '--list'])
      expect(mine).toEqual({ code: 0, stdout: 'yes\n', stderr: '' })
      expect(notMine).toEqual({ code: 1, stdout: 'no\n', stderr: '' })
      expect(list.stdout).toMatch(/^pods\/exec +.*create/m)
    })

    test('discovery finds the server and its resources', async () => {
      const version = await kubectl(['version', '-o', 'json'])
      const resources = await kubectl(['api-resources', '--api-group=apps', '-o', 'name'])
      const explain = await kubectl(['explain', 'deployment.spec.replicas'])
      expect(JSON.parse(version.stdout)).toHaveProperty('serverVersion.gitVersion')
      expect(resources.stdout.split('\n')).toContain('deployments.apps')
      expect(explain.stdout).toMatch(/FIELD: replicas <integer>/)
    })

    test('get prints a table', async () => {
      const pods = await kubectl(['get', 'pods'])
      expect(pods).toMatchObject({ code: 0, stderr: '' })
      expect(pods.stdout).toMatch(/^NAME +READY +STATUS +RESTARTS +AGE\nweb +1\/1 +Running +0 /)
    })

    test('get prints JSON', async () => {
      const pod = await kubectl(['get', 'pod', 'web', '-o', 'json'])
      expect(JSON.parse(pod.stdout)).toMatchObject({
        kind: 'Pod',
        metadata: { name: 'web', namespace: NAMESPACE },
      })
    })

    test('get combines the chunks of a list', async () => {
      const names = Array.from({ length: 25 }, (_, index) => `${own}-piece-${index}`)
      const items = names.map((name) => configMap(name, {}))
      const list = { apiVersion: 'v1', kind: 'List', items }
      await kubectl(['create', '-f', '-'], { input: stringify(list) })
      const got = await kubectl(['get', 'configmaps', '--chunk-size=10', '-o', 'name'])
      expect(got.stdout.split('\n')).toEqual(
        expect.arrayContaining(names.map((name) => `configmap/${name}`)),
      )
    })

    test('get --watch prints the changes after its start', async () => {
      const name = `${own}-watched`
      const watch = user.start(['get', 'configmaps', '--watch', '--output-watch-events'])
      await watch.until(/^ADDED +kube-root-ca\.crt /m)
      await site.cluster.admin(['-n', NAMESPACE, 'create', 'configmap', name])
      await watch.until(new RegExp(`^ADDED +${name} +0 `, 'm'))
      await site.cluster.admin(['-n', NAMESPACE, 'delete', 'configmap', name])
      await watch.until(new RegExp(`^DELETED +${name} `, 'm'))
      expect((await watch.stop()).stderr).toBe('')
    })

    test('apply creates an object, changes it, and detects that it is unchanged', async () => {
      const name = `${own}-applied`
      const apply = (data: object) =>
        kubectl(['apply', '-f', '-'], { input: stringify(configMap(name, data)) })
      const outputs = []
      for (const value of ['1', '2', '2']) outputs.push((await apply({ value })).stdout)
      expect(outputs).toEqual([
        `configmap/${name} created\n`,
        `configmap/${name} configured\n`,
        `configmap/${name} unchanged\n`,
      ])
    })

    test('apply --server-side detects conflicts between field managers', async () => {
      const name = `${own}-managed`
      const apply = (manager: string, data: object, ...more: string[]) =>
        kubectl(['apply', '--server-side', `--field-manager=${manager}`, ...more, '-f', '-'], {
          input: stringify(configMap(name, data)),
        })
      const first = await apply('one', { value: '1' })
      const second = await apply('two', { value: '2' })
      const forced = await apply('two', { value: '2' }, '--force-conflicts')
      expect(first.stdout).toBe(`configmap/${name} serverside-applied\n`)
      expect(second.code).toBe(1)
      expect(second.stderr).toContain('conflict with "one": .data.value')
      expect(forced.stdout).toBe(`configmap/${name} serverside-applied\n`)
      expect(await valueOf(name)).toBe('2')
    })

    test('patch and edit change an object', async () => {
      const name = `${own}-edited`
      await kubectl(['create', 'configmap', name, '--from-literal=value=1'])
      const patch = '{"data":{"value":"2"}}'
      const patched = await kubectl(['patch', 'configmap', name, '--type=merge', '-p', patch])
      expect(patched.stdout).toBe(`configmap/${name} patched\n`)
      expect(await valueOf(name)).toBe('2')
      const edited = await kubectl(['edit', 'configmap', name], {
        env: { KUBE_EDITOR: `sed -i 's/value: "2"/value: "3"/'` },
      })
      expect(edited.stdout).toBe(`configmap/${name} edited\n`)
      expect(await valueOf(name)).toBe('3')
    })

    test('create sends an object of a megabyte unchanged', async () => {
      const name = `${own}-large`
      const content = 'x'.repeat(1_000_000)
      await writeFile(join(user.home, 'value'), content)
      const create = await kubectl(['create', 'configmap', name, '--from-file=value'])
      expect(create.stdout).toBe(`configmap/${name} created\n`)
      expect((await valueOf(name)) === content).toBe(true)
    })

    test('delete removes an object', async () => {
      const name = `${own}-deleted`
      await kubectl(['create', 'configmap', name])
      const deleted = await kubectl(['delete', 'configmap', name])
      const again = await kubectl(['get', 'configmap', name])
      expect(deleted.stdout).toContain(`configmap "${name}" deleted`)
      expect(again).toEqual({
        code: 1,
        stdout: '',
        stderr: `Error from server (NotFound): configmaps "${name}" not found\n`,
      })
    })

    test('logs prints the existing lines, and logs -f also the new ones', async () => {
      const logs = await kubectl(['logs', 'web', '--tail=2'])
      expect(logs.stdout).toMatch(/^tick \d+\ntick \d+\n$/)
      const following = user.start(['logs', '-f', 'web', '--tail=1'])
      const shown = await following.until(/tick \d+\n/)
      const last = Number(/tick (\d+)/.exec(shown)?.[1])
      await following.until(new RegExp(`^tick ${last + 4}$`, 'm'))
      expect((await following.stop()).stderr).toBe('')
    })

    test('top reports that there are no metrics, as without Gatehouse', async () => {
      for (const what of ['pods', 'nodes']) {
        const top = await kubectl(['top', what])
        expect(top).toEqual({ code: 1, stdout: '', stderr: 'error: Metrics API not available\n' })
      }
    })

    async function valueOf(name: string): Promise<string> {
      const got = await kubectl(['get', 'configmap', name, '-o', 'jsonpath={.data.value}'])
      return got.stdout
    }
  })

  test('caused no request with the rights of Gatehouse itself', async () => {
    expect(await site.cluster.eventsOfGatehouseItself()).toEqual([])
  })
})

function configMap(name: string, data: object): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data }
}
