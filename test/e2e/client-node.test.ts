import { PassThrough, Writable } from 'node:stream'
import { finished } from 'node:stream/promises'

import {
  AuthenticationV1Api,
  CoreV1Api,
  Exec,
  KubeConfig,
  Log,
  V1SelfSubjectReview,
  Watch,
  type V1ConfigMap,
  type V1Status,
} from '@kubernetes/client-node'
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'

import { newNamespace } from '../support/cluster.ts'
import { startSite, type Site } from '../support/site.ts'
import { CREDENTIALS, type User } from '../support/users.ts'

const NAMESPACE = newNamespace()

/** A client library other than kubectl's, with the same kubeconfigs. */
describe.skipIf(!inject('hasParts'))('@kubernetes/client-node', () => {
  let site: Site

  beforeAll(async () => {
    site = await startSite({ namespace: NAMESPACE })
  })

  afterAll(() => site.stop())

  describe.each(CREDENTIALS)('authenticated by %s', (credential) => {
    let user: User
    let config: KubeConfig
    let core: CoreV1Api

    beforeAll(() => {
      user = site.users[credential]
      config = new KubeConfig()
      config.loadFromFile(user.kubeconfig)
      core = config.makeApiClient(CoreV1Api)
    })

    test('acts as the user of the kubeconfig', async () => {
      const review = await config
        .makeApiClient(AuthenticationV1Api)
        .createSelfSubjectReview({ body: new V1SelfSubjectReview() })
      expect(review.status?.userInfo).toMatchObject({
        username: user.username,
        groups: user.groups,
      })
    })

    test('lists objects', async () => {
      const { items } = await core.listNamespacedPod({ namespace: NAMESPACE })
      expect(items.map(({ metadata }) => metadata?.name)).toEqual(['web'])
    })

    test('throws an error with the status of a refusal', async () => {
      const path = { namespace: NAMESPACE, name: 'web:80', path: 'metrics' }
      const refused = core.connectGetNamespacedServiceProxyWithPath(path)
      await expect(refused).rejects.toMatchObject({
        code: 403,
        body: expect.stringContaining('Gatehouse rule \\"no-proxy-subresources\\"') as unknown,
      })
    })

    test('watches objects', async () => {
      const name = `${user.username.replace(':', '-')}-watched`
      const seen: string[] = []
      const watch = await new Watch(config).watch(
        `/api/v1/namespaces/${NAMESPACE}/configmaps`,
        { fieldSelector: `metadata.name=${name}` },
        (phase, object: V1ConfigMap) => seen.push(`${phase} ${object.data?.['value'] ?? ''}`),
        () => undefined,
      )
      onTestFinished(() => watch.abort())
      const { admin } = site.cluster
      await admin(['-n', NAMESPACE, 'create', 'configmap', name, '--from-literal=value=1'])
      await admin(['-n', NAMESPACE, 'patch', 'configmap', name, '-p', '{"data":{"value":"2"}}'])
      await admin(['-n', NAMESPACE, 'delete', 'configmap', name])
      await expect.poll(() => seen).toEqual(['ADDED 1', 'MODIFIED 2', 'DELETED 2'])
    })

    test('follows a log to its end', async () => {
      const { text, sink } = collector()
      // Limited by bytes: aborting throws inside the library, outside of every handler.
      const options = { follow: true, tailLines: 1, limitBytes: 60 }
      await new Log(config).log(NAMESPACE, 'web', 'main', sink, options)
      await finished(sink)
      expect(text()).toMatch(/^tick \d+\ntick \d+\n/)
      expect(text()).toHaveLength(60)
    })

    test('executes a command with stdin, stdout, stderr and exit code', async () => {
      const out = collector()
      const err = collector()
      const stdin = new PassThrough()
      const { promise, resolve } = Promise.withResolvers<V1Status>()
      const script = 'read line; echo "got $line"; echo no >&2; exit 7'
      const socket = await new Exec(config).exec(
        NAMESPACE,
        'web',
        'main',
        ['sh', '-c', script],
        out.sink,
        err.sink,
        stdin,
        false,
        resolve,
      )
      onTestFinished(() => socket.close())
      stdin.write('this\n')
      expect(await promise).toMatchObject({
        status: 'Failure',
        reason: 'NonZeroExitCode',
        details: { causes: [{ reason: 'ExitCode', message: '7' }] },
      })
      expect([out.text(), err.text()]).toEqual(['got this\n', 'no\n'])
    })
  })

  test('caused no request with the rights of Gatehouse itself', async () => {
    expect(await site.cluster.eventsOfGatehouseItself()).toEqual([])
  })
})

function collector(): { text: () => string; sink: Writable } {
  let text = ''
  const sink = new Writable({
    write(chunk: Buffer, _, done) {
      text += chunk.toString()
      done()
    },
  })
  return { text: () => text, sink }
}
