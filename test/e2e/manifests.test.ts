import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { startControlPlane, type RunningControlPlane } from '../../dev/parts/control-plane.ts'
import { loadUpstreamCredential } from '../../src/cluster/load.ts'
import { createReviewClient } from '../../src/cluster/review-client.ts'
import { checkUpstream } from '../../src/upstream/checks.ts'
import { IMPERSONATION } from '../../src/upstream/identity.ts'
import type { CommandResult } from '../support/command.ts'
import { createKubectl, type Kubectl } from '../support/kubectl.ts'
import {
  find,
  manifestsFolder,
  podTemplate,
  readManifests,
  type Manifest,
} from '../support/manifests.ts'
import { writeServiceAccountKubeconfig } from '../support/service-account.ts'

const POLLING = { interval: 200 }
const passed = {
  reachable: undefined,
  rejectsAnonymous: undefined,
  assertsIdentity: undefined,
  identity: { verdict: 'asserted', problem: undefined },
}

/** deploy/kubernetes, applied to a real API server by an administrator. */
describe.skipIf(!inject('hasParts'))('the manifests', () => {
  let controlPlane: RunningControlPlane
  let admin: Kubectl
  /** With the credential of Gatehouse's service account. */
  let gatehouse: Kubectl
  let kubeconfig: string
  let applied: CommandResult

  beforeAll(async () => {
    controlPlane = await startControlPlane({ kubelet: false })
    admin = createKubectl(controlPlane)
    // A dry run in a namespace that does not exist would fail.
    await admin(['apply', '-f', join(manifestsFolder, '00-namespace.yaml')])
    const dryRun = await apply(['--dry-run=server'])
    if (dryRun.code !== 0) throw new Error(dryRun.stderr)
    applied = await apply([])
    kubeconfig = (await writeServiceAccountKubeconfig(controlPlane, admin)).kubeconfig
    gatehouse = createKubectl(controlPlane, kubeconfig)
  })

  afterAll(() => controlPlane.stop())

  function apply(options: string[]): Promise<CommandResult> {
    return admin(['apply', '--validate=strict', '-f', manifestsFolder, ...options])
  }

  test('are accepted with strict validation and without a warning', async () => {
    const manifests = await readManifests()
    expect(applied).toMatchObject({ code: 0, stderr: '' })
    expect(applied.stdout.trim().split('\n')).toHaveLength(manifests.length)
  })

  test('do not change anything when they are applied again', async () => {
    await apply([])
    const difference = await admin(['diff', '-f', manifestsFolder])
    expect(difference).toEqual({ code: 0, stdout: '', stderr: '' })
  })

  test('of Redis are accepted as well, and the namespace admits its pod', async () => {
    const file = join(manifestsFolder, '../kubernetes-redis/redis.yaml')
    const redis = await admin(['apply', '--validate=strict', '-f', file])
    expect(redis).toMatchObject({ code: 0, stderr: '' })
    const replicas = ['--for=jsonpath={.status.currentReplicas}=1', '--timeout=60s']
    const waited = await admin(['-n', 'gatehouse', 'wait', 'statefulset/redis', ...replicas])
    expect(waited).toMatchObject({ code: 0 })
  })

  describe('the namespace', () => {
    test('admits the pods of the Deployment', async () => {
      const replicas = ['--for=jsonpath={.status.replicas}=2', '--timeout=60s']
      const waited = await admin(['-n', 'gatehouse', 'wait', 'deployment/gatehouse', ...replicas])
      expect(waited).toMatchObject({ code: 0 })
      const pod = { ...podTemplate(await readManifests()), apiVersion: 'v1', kind: 'Pod' }
      expect(await createPod(pod)).toMatchObject({ code: 0, stderr: '' })
    })

    test.for([
      { name: 'may become root', change: { allowPrivilegeEscalation: true } },
      { name: 'keeps a capability', change: { capabilities: { add: ['NET_RAW'] } } },
      { name: 'runs as root', change: { runAsUser: 0 } },
    ])('refuses a pod that $name', async ({ change }) => {
      const { metadata, spec } = podTemplate(await readManifests())
      const containers = spec.containers.map((container) => ({
        ...container,
        securityContext: { ...container.securityContext, ...change },
      }))
      const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { ...spec, containers } }
      const refused = await createPod(pod)
      expect(refused.code).toBe(1)
      expect(refused.stderr).toContain('violates PodSecurity "restricted:latest"')
    })

    function createPod(pod: { metadata: object }): Promise<CommandResult> {
      const named = { ...pod, metadata: { ...pod.metadata, name: 'tried' } }
      const create = ['-n', 'gatehouse', 'create', '--dry-run=server', '-f', '-']
      return admin(create, { input: JSON.stringify(named) })
    }
  })

  describe('the rights of the service account', () => {
    const everything = [
      ...['--as=ada', '--as-group=engineers', '--as-group=system:authenticated', '--as-uid=7'],
      '--as-user-extra=authentication.kubernetes.io/credential-id=X509SHA256=ab',
    ]

    test('are sufficient for Gatehouse to be ready', async () => {
      expect(await readiness()).toEqual(passed)
    })

    test('let it assert a user, groups, a UID and a credential ID', async () => {
      const whoami = await gatehouse(['auth', 'whoami', '-o', 'json', ...everything])
      expect(whoami).toMatchObject({ code: 0 })
      const { status } = JSON.parse(whoami.stdout) as { status: { userInfo: unknown } }
      expect(status.userInfo).toEqual({
        username: 'ada',
        groups: ['engineers', 'system:authenticated'],
        uid: '7',
        extra: { 'authentication.kubernetes.io/credential-id': ['X509SHA256=ab'] },
      })
    })

    test.for([
      {
        what: 'a service account',
        args: ['--as=system:serviceaccount:kube-system:default'],
        resource: 'serviceaccounts',
      },
      {
        what: 'a user with an extra that Gatehouse never asserts',
        args: ['--as=ada', '--as-user-extra=example.com/team=a'],
        resource: 'userextras/example.com/team',
      },
    ])('do not let it impersonate $what', async ({ args, resource }) => {
      const refused = await readVersion(...args)
      expect(refused.code).toBe(1)
      expect(refused.stderr).toContain(`cannot impersonate resource "${resource}"`)
    })

    test('do not let it read or change anything under its own name', async () => {
      for (const args of [
        ['get', 'pods', '-A'],
        ['get', 'secrets', '-n', 'gatehouse'],
        ['get', 'configmaps', '-n', 'gatehouse'],
        ['create', 'namespace', 'mine'],
        ['create', 'clusterrolebinding', 'mine', '--clusterrole=cluster-admin', '--user=ada'],
      ]) {
        const refused = await gatehouse(args)
        expect(refused).toMatchObject({ code: 1 })
        expect(refused.stderr).toContain('"system:serviceaccount:gatehouse:gatehouse" cannot')
      }
    })

    test('exclude system:masters and keep it ready when restricted as the comments say', async () => {
      onTestFinished(async () => {
        await apply([])
      })
      await admin(['apply', '-f', '-'], { input: stringify(await narrowedRole()) })
      expect(await readiness()).toEqual(passed)
      const ada = '--as=oidc:ada@example.com'
      const authenticated = '--as-group=system:authenticated'
      const engineers = '--as-group=oidc:engineers'
      expect(await readVersion(ada, engineers, authenticated)).toMatchObject({ code: 0 })
      // The API server applies a changed role shortly after it has stored it.
      const asMaster = () => readVersion(ada, engineers, '--as-group=system:masters')
      const refused = 'cannot impersonate resource "groups"'
      await expect.poll(async () => (await asMaster()).stderr, POLLING).toContain(refused)
      const asOtherUser = await readVersion('--as=eve', authenticated)
      expect(asOtherUser.stderr).toContain('cannot impersonate resource "users"')
    })

    /** A request that is allowed to every user, so that only the impersonation can be refused. */
    function readVersion(...args: string[]): Promise<CommandResult> {
      return gatehouse(['get', '--raw', '/version', ...args])
    }

    async function readiness() {
      const credential = loadUpstreamCredential({ kubeconfig, context: undefined })
      const reviewClient = createReviewClient({ credential, timeout: 30_000, idleTimeout: 1_000 })
      onTestFinished(() => reviewClient.close())
      return checkUpstream({ reviewClient, identity: IMPERSONATION, tolerateAnonymousAuth: false })
    }
  })
})

/** The ClusterRole with the `resourceNames` that its comments suggest for users and groups. */
async function narrowedRole(): Promise<Manifest> {
  const text = await readFile(join(manifestsFolder, '10-rbac.yaml'), 'utf8')
  const suggested = [...text.matchAll(/^ *# +resourceNames: (\[.*\])$/gm)].map(
    ([, list = '']) => JSON.parse(list) as string[],
  )
  const role = find(await readManifests(), 'ClusterRole', 'gatehouse-impersonator')
  const rules = role.rules?.map((rule, index) => {
    const resourceNames = suggested[index]
    return resourceNames === undefined ? rule : { ...rule, resourceNames }
  })
  expect(suggested).toHaveLength(2)
  expect(role.rules?.map(({ resources }) => resources).slice(0, 2)).toEqual([['users'], ['groups']])
  return { ...role, rules: rules ?? [] }
}
