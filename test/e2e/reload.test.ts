import { mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { stringify } from 'yaml'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'
import { joinCluster, newNamespace, type Cluster } from '../support/cluster.ts'
import { replaceFile } from '../support/files.ts'
import { ALLOW_ALL, startTestGatehouse, type TestGatehouse } from '../support/gatehouse.ts'
import { certificateUser } from '../support/kubeconfig-user.ts'
import type { RunningProgram } from '../support/program.ts'
import { createUser, withCertificate, withToken, type User } from '../support/users.ts'

const NAMESPACE = newNamespace()
const POLLING = { interval: 100 }
const VERSION = ['get', '--raw', '/version']

/** A running Gatehouse whose files change; it gets no other signal. */
describe.skipIf(!inject('hasParts'))('a Gatehouse whose files change', () => {
  let cluster: Cluster
  let gatehouse: TestGatehouse
  let user: User
  let watch: RunningProgram
  let created = 0

  beforeAll(async () => {
    cluster = await joinCluster({ namespace: NAMESPACE, pod: false })
  })

  afterAll(() => cluster.stop())

  beforeEach(async () => {
    gatehouse = await startTestGatehouse({ upstream: { kubeconfig: cluster.gatehouseKubeconfig } })
    user = await withToken(cluster.controlPlane, gatehouse)
    watch = user.start(['get', 'configmaps', '--watch', '-o', 'name'])
    await watch.until(/kube-root-ca/)
    return () => gatehouse.close()
  })

  describe('rules', () => {
    const NO_DELETION = {
      name: 'no-deletion',
      effect: 'deny',
      verbs: ['delete'],
      resources: [{ apiGroups: ['*'], resources: ['*'] }],
      message: 'Not today.',
    }
    const stricter = withRules(NO_DELETION)

    test('replaced by a rename take effect, and an open watch continues', async () => {
      await replaceFile(gatehouse.file('rules.yaml'), stricter)
      await expect.poll(deletion, POLLING).toContain('Not today. (Gatehouse rule "no-deletion")')
      await expectWatchGoesOn()
    })

    test('replaced as a kubelet replaces a ConfigMap take effect, and an open watch continues', async () => {
      await mount('..2026_01', stringify(ALLOW_ALL))
      await symlink('..data/rules.yaml', gatehouse.file('rules.link'))
      await rename(gatehouse.file('rules.link'), gatehouse.file('rules.yaml'))
      expect(await deletion()).toContain('NotFound')
      await mount('..2026_02', stricter)
      await expect.poll(deletion, POLLING).toContain('Not today. (Gatehouse rule "no-deletion")')
      await expectWatchGoesOn()
    })

    test('with an error do not take effect, and /readyz?verbose reports it', async () => {
      await replaceFile(gatehouse.file('rules.yaml'), stricter)
      await expect.poll(deletion, POLLING).toContain('Not today.')
      await replaceFile(
        gatehouse.file('rules.yaml'),
        stricter.replace('effect: deny', 'effect: denny'),
      )
      await expect
        .poll(readyz, POLLING)
        .toMatch(/\[\+\]configuration ok \(reload of rules failed: /)
      expect(await deletion()).toContain('Not today.')
      await expectWatchGoesOn()
    })

    test('that deny a running watch end it', async () => {
      const noWatches = { ...NO_DELETION, name: 'no-watches', verbs: ['watch'] }
      await replaceFile(gatehouse.file('rules.yaml'), withRules(noWatches))
      expect(await watch.ended).toMatchObject({ code: 0 })
      const ends = await gatehouse.eventsWhere(
        ({ verb, stage }) => verb === 'watch' && stage === 'ResponseComplete',
      )
      expect(ends.map(({ annotations }) => annotations['gatehouse/abortedBy'])).toEqual([
        'gatehouse',
      ])
    })

    async function mount(name: string, rules: string): Promise<void> {
      await mkdir(gatehouse.file(name))
      await writeFile(join(gatehouse.file(name), 'rules.yaml'), rules)
      await symlink(name, gatehouse.file('..data_tmp'))
      await rename(gatehouse.file('..data_tmp'), gatehouse.file('..data'))
    }

    /** The error of a deletion; the object does not exist. */
    async function deletion(): Promise<string> {
      return (await user.kubectl(['delete', 'configmap', 'absent'])).stderr
    }
  })

  test('accepts the users of a new client CA, and no longer those of the old one', async () => {
    const ada = await withCertificate(cluster.controlPlane, gatehouse)
    const next = await createAuthority({ commonName: 'users' })
    const pair = await next.issue({
      commonName: 'grace',
      organizations: ['engineers'],
      usages: ['client'],
    })
    const grace = await createUser(
      cluster.controlPlane,
      gatehouse,
      'grace',
      ['engineers'],
      certificateUser(pair),
    )
    const exitCodes = async (): Promise<number[]> => [
      (await ada.kubectl(VERSION)).code,
      (await grace.kubectl(VERSION)).code,
    ]
    expect(await exitCodes()).toEqual([0, 1])
    const both = gatehouse.clientAuthority.certificatePem + next.certificatePem
    await replaceFile(gatehouse.file('client-ca.crt'), both)
    await expect.poll(exitCodes, POLLING).toEqual([0, 0])
    const running = ada.start(['get', 'configmaps', '--watch', '-o', 'name'])
    await running.until(/kube-root-ca/)
    await replaceFile(gatehouse.file('client-ca.crt'), next.certificatePem)
    await expect.poll(exitCodes, POLLING).toEqual([1, 0])
    await running.ended
    expect(await causesOfEnds()).toEqual([
      'the credential is no longer accepted: the certificate no longer chains to a client CA',
    ])
    await expectWatchGoesOn()
  })

  test('ends the watches of users whose audience is no longer accepted', async () => {
    const file = gatehouse.file('authentication.yaml')
    const text = await readFile(file, 'utf8')
    await replaceFile(file, text.replace('- kubernetes', '- another'))
    expect(await watch.ended).toMatchObject({ code: 0 })
    expect(await causesOfEnds()).toEqual([
      'the credential is no longer accepted: the token is for another audience (aud): "kubernetes"',
    ])
    expect((await user.kubectl(VERSION)).stderr).toContain('Unauthorized')
  })

  test('presents a new serving certificate, and an open watch continues', async () => {
    const authority = await createAuthority({ commonName: 'serving' })
    const serving = await authority.issue({
      commonName: 'gatehouse',
      ipAddresses: ['127.0.0.1'],
      usages: ['server'],
    })
    const token = await gatehouse.token({ groups: ['engineers'] })
    const server = { url: gatehouse.url, ca: authority.certificatePem }
    const expecting = await createUser(cluster.controlPlane, server, user.username, [], { token })
    const errorOf = async (one: User): Promise<string> => (await one.kubectl(VERSION)).stderr
    expect(await errorOf(expecting)).toContain('certificate signed by unknown authority')

    await replaceFile(gatehouse.file('serving.key'), serving.keyPem)
    await replaceFile(gatehouse.file('serving.crt'), serving.certificatePem)
    await expect.poll(() => errorOf(expecting), POLLING).toBe('')
    expect(await errorOf(user)).toContain('certificate signed by unknown authority')
    await expectWatchGoesOn()
  })

  test('caused no request with its own rights', async () => {
    expect(await cluster.eventsOfGatehouseItself()).toEqual([])
  })

  async function expectWatchGoesOn(): Promise<void> {
    const name = `created-${++created}`
    await cluster.admin(['-n', NAMESPACE, 'create', 'configmap', name])
    expect(await watch.until(new RegExp(`^configmap/${name}$`, 'm'))).toContain(name)
  }

  /** The causes for which Gatehouse has ended watches. */
  async function causesOfEnds(): Promise<(string | undefined)[]> {
    const ends = await gatehouse.eventsWhere(
      ({ stage, annotations }) =>
        stage === 'ResponseComplete' && annotations['gatehouse/abortedBy'] === 'gatehouse',
    )
    return ends.map(({ annotations }) => annotations['gatehouse/cause'])
  }

  async function readyz(): Promise<string> {
    return (await fetch(`${gatehouse.probesUrl}/readyz?verbose`)).text()
  }
})

function withRules(...rules: object[]): string {
  return stringify({ ...ALLOW_ALL, rules: [...ALLOW_ALL.rules, ...rules] })
}
