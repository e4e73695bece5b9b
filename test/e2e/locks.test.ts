/** What kubectl shows when its user is locked. */
import { stringify } from 'yaml'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

import { GATEHOUSE_USERNAME, newNamespace } from '../support/cluster.ts'
import { replaceFile } from '../support/files.ts'
import { overSPDY } from '../support/kubectl.ts'
import { startSite, type Site } from '../support/site.ts'
import { withToken } from '../support/users.ts'

const NAMESPACE = newNamespace()
const POLLING = { interval: 100 }
const LOCKED = 'user "oidc:ada" is locked: Laptop stolen, ticket 4711.'

const locksOf = (...locks: readonly object[]): string =>
  stringify({ apiVersion: 'gatehouse/v1', kind: 'Locks', locks })

describe.skipIf(!inject('hasParts'))('a lock file', () => {
  let site: Site

  beforeAll(async () => {
    site = await startSite({
      isAlone: true,
      namespace: NAMESPACE,
      configuration: { locks: { file: 'locks.yaml' }, impersonation: { enabled: true } },
      files: { 'locks.yaml': locksOf() },
    })
  })

  afterAll(() => site.stop())

  test('refuses requests and ends streams with the reason, and nothing of other users', async () => {
    const user = site.users['OIDC token']
    const other = site.users['client certificate']
    const grace = await withToken(site.cluster.controlPlane, site.gatehouse, { sub: 'grace' })
    const exec = ['exec', '-i', 'web', '--', 'sh', '-c', 'echo started; exec sleep 600']
    const webSocket = user.start(exec)
    const spdy = user.start(exec, overSPDY)
    const watch = user.start(['get', 'configmaps', '--watch'])
    const logs = user.start(['logs', '-f', 'web'])
    const otherWatch = other.start(['get', 'configmaps', '--watch', '-o', 'name'])
    const graceExec = grace.start(exec)
    await Promise.all([
      ...[webSocket, spdy, graceExec].map((stream) => stream.until(/started/)),
      ...[watch, otherWatch].map((stream) => stream.until(/kube-root-ca/)),
      logs.until(/tick/),
    ])

    await replaceFile(
      site.gatehouse.file('locks.yaml'),
      locksOf({ user: 'oidc:ada', reason: 'Laptop stolen, ticket 4711.' }),
    )
    const shown = { code: 1, stdout: 'started\n', stderr: `error: ${LOCKED}\n` }
    expect(await webSocket.ended).toEqual(shown)
    expect(await spdy.ended).toEqual(shown)
    expect((await watch.ended).stdout).toMatch(
      /^Failure +Forbidden +user "oidc:ada" is locked: Laptop stolen, ticket 4711\.$/m,
    )
    expect((await logs.ended).stdout).toContain(`\ngatehouse: the log was cut off: ${LOCKED}\n`)
    const refused = await user.kubectl(['get', 'pods'])
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toBe(`Error from server (Forbidden): ${LOCKED}\n`)

    expect(await other.kubectl(['get', 'pods'])).toMatchObject({ code: 0 })
    await site.cluster.admin(['-n', NAMESPACE, 'create', 'configmap', 'after-the-lock'])
    await otherWatch.until(/^configmap\/after-the-lock$/m)
    expect(graceExec.stdout).toBe('started\n')

    await replaceFile(
      site.gatehouse.file('locks.yaml'),
      locksOf({ user: 'oidc:grace', reason: 'Nobody.' }),
    )
    await expect.poll(() => user.kubectl(['get', 'pods']), POLLING).toMatchObject({ code: 0 })
    expect((await graceExec.ended).stderr).toBe('error: user "oidc:grace" is locked: Nobody.\n')
  })

  test('refuses kubectl --as a locked user, whose caller is not locked', async () => {
    await replaceFile(
      site.gatehouse.file('locks.yaml'),
      locksOf({ group: 'contractors', reason: 'Audit.' }),
    )
    const { admin } = site.cluster
    const { username } = site.users['client certificate']
    const grant = async (user: string, verb: string, resource: string): Promise<void> => {
      const name = `${verb}-${resource}-${NAMESPACE}`
      await admin(['create', 'clusterrole', name, `--verb=${verb}`, `--resource=${resource}`])
      const binding = ['create', 'clusterrolebinding', name, `--clusterrole=${name}`]
      await admin([...binding, `--user=${user}`])
    }
    await grant(username, 'impersonate', 'users')
    await grant(username, 'impersonate', 'groups')
    await grant(GATEHOUSE_USERNAME, 'create', 'subjectaccessreviews.authorization.k8s.io')
    const asMember = (group: string) => [
      ...['get', '--raw', '/version', '--as', 'eve', '--as-group', group],
    ]
    const run = async (args: readonly string[]): Promise<string> =>
      (await site.users['client certificate'].kubectl(args)).stderr
    await expect
      .poll(() => run(asMember('contractors')), POLLING)
      .toContain('(Forbidden): group "contractors" is locked: Audit.')
    expect(await run(asMember('others'))).not.toContain('is locked')
  })
})
