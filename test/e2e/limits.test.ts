import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'

import { joinCluster, newNamespace, type Cluster } from '../support/cluster.ts'
import { startTestGatehouse, type TestGatehouse } from '../support/gatehouse.ts'
import { overSPDY } from '../support/kubectl.ts'
import { withCertificate, withToken } from '../support/users.ts'

const NAMESPACE = newNamespace()
const LIST = ['get', '--raw', `/api/v1/namespaces/${NAMESPACE}/pods`]
const WATCH = ['get', '--raw', `/api/v1/namespaces/${NAMESPACE}/pods?watch=true`]

/** How kubectl handles a 429. */
describe.skipIf(!inject('hasParts'))('a user beyond a limit', () => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await joinCluster({ namespace: NAMESPACE })
  })

  afterAll(() => cluster.stop())

  test('is served after the time in Retry-After', async () => {
    const list = { requestsPerSecond: 0.25, burst: 1 }
    const gatehouse = await start({ user: { list } })
    const user = await withToken(cluster.controlPlane, gatehouse)
    for (let i = 0; i < 2; i++) {
      expect(await user.kubectl(LIST)).toMatchObject({ code: 0, stderr: '' })
    }
    // kubectl may end before the last event is written to the file.
    await gatehouse.eventsWhere(
      ({ verb, responseStatus }) => verb === 'list' && responseStatus?.code === 200,
      2,
    )
    const codes = (await gatehouse.events()).map(({ responseStatus }) => responseStatus?.code)
    expect(codes).toContain(429)
  })

  test('does not slow down another user', async () => {
    const list = { requestsPerSecond: 0.01, burst: 1 }
    const gatehouse = await start({ user: { list } })
    const one = await withToken(cluster.controlPlane, gatehouse)
    const other = await withCertificate(cluster.controlPlane, gatehouse)
    await one.kubectl(LIST)
    one.start(LIST)
    await gatehouse.eventsWhere(({ responseStatus }) => responseStatus?.code === 429)
    expect(await other.kubectl(LIST)).toMatchObject({ code: 0 })
  })

  test('gets the limit of streams in an error message, while open streams continue', async () => {
    const gatehouse = await start({ concurrent: { streams: 1 } })
    const user = await withToken(cluster.controlPlane, gatehouse)
    const logs = user.start(['logs', '-f', 'web', '--tail=1'])
    const line = /tick (\d+)\n/.exec(await logs.until(/tick \d+\n/))?.[1]
    const refused = 'too many concurrent streams by this user (limit: 1), retry after 1s\n'
    for (const env of [{}, overSPDY]) {
      expect(await user.kubectl(['exec', 'web', '--', 'true'], { env })).toEqual({
        code: 1,
        stdout: '',
        stderr: `error: unable to upgrade connection: ${refused}`,
      })
    }
    const more = await user.kubectl(WATCH)
    expect(more).toEqual({
      code: 1,
      stdout: '',
      stderr: `Error from server (TooManyRequests): ${refused}`,
    })
    await logs.until(new RegExp(`^tick ${Number(line) + 5}$`, 'm'))
    await logs.stop()
    await expect.poll(async () => (await user.kubectl(['exec', 'web', '--', 'true'])).code).toBe(0)
  })

  async function start(limits: object): Promise<TestGatehouse> {
    const gatehouse = await startTestGatehouse({
      upstream: { kubeconfig: cluster.gatehouseKubeconfig },
      configuration: { limits },
    })
    onTestFinished(() => gatehouse.close())
    return gatehouse
  }
})
