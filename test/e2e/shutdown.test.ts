import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'

import { joinCluster, newNamespace, type Cluster } from '../support/cluster.ts'
import { startTestGatehouse, type AuditEvent, type TestGatehouse } from '../support/gatehouse.ts'
import { overSPDY } from '../support/kubectl.ts'
import { withCertificate, withToken } from '../support/users.ts'

const NAMESPACE = newNamespace()

/** The shutdown of a Gatehouse, as after SIGTERM, while kubectl commands run. */
describe.skipIf(!inject('hasParts'))('a Gatehouse that shuts down', () => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await joinCluster({ namespace: NAMESPACE })
  })

  afterAll(() => cluster.stop())

  test('lets streams finish that end before the deadline', async () => {
    const gatehouse = await start({ gracePeriod: '60s' })
    const user = await withToken(cluster.controlPlane, gatehouse)
    const exec = user.start(['exec', 'web', '-i', '--', 'sh', '-c', 'echo begun; read x; echo $x'])
    const watch = user.start(['get', '--raw', `${CONFIG_MAPS}?watch=true&timeoutSeconds=4`])
    await exec.until(/begun/)
    await watch.until(/ADDED/)

    const closed = gatehouse.gatehouse.close()
    await expect.poll(() => readyz(gatehouse)).toContain('[-]shutdown failed: shutting down')
    exec.write('all of it\n')
    expect(await exec.ended).toEqual({ code: 0, stdout: 'begun\nall of it\n', stderr: '' })
    expect(await watch.ended).toMatchObject({ code: 0, stderr: '' })
    await closed
    const ends = (await gatehouse.events()).filter(isEndOfStream)
    expect(ends.map(abortedBy)).toEqual([undefined, undefined])
  })

  test('ends the other streams at the deadline, and records it', async () => {
    const gatehouse = await start({ gracePeriod: '1s' })
    const ada = await withCertificate(cluster.controlPlane, gatehouse)
    const other = await withToken(cluster.controlPlane, gatehouse)
    const logs = ada.start(['logs', '-f', 'web', '--tail=1'])
    const watch = other.start(['get', 'configmaps', '--watch'])
    const execs = [{}, overSPDY].map((env) =>
      other.start(['exec', 'web', '--', 'sh', '-c', 'echo begun; sleep 600'], env),
    )
    await Promise.all([
      logs.until(/tick/),
      watch.until(/kube-root-ca/),
      ...execs.map((exec) => exec.until(/begun/)),
    ])

    await gatehouse.gatehouse.close()
    expect(await logs.ended).toMatchObject({ code: 0, stderr: '' })
    expect(await watch.ended).toMatchObject({ code: 0, stderr: '' })
    // Without the notice, kubectl takes the end of a SPDY connection for that of the command.
    const shown = { code: 1, stdout: 'begun\n', stderr: 'error: Gatehouse is shutting down\n' }
    expect(await Promise.all(execs.map(({ ended }) => ended))).toEqual([shown, shown])
    const events = await gatehouse.events()
    expect(events.filter(isStartOfStream)).toHaveLength(4)
    expect(events.filter(isEndOfStream).map(abortedBy)).toEqual(Array(4).fill('gatehouse'))
  })

  test('refuses new connections', async () => {
    const gatehouse = await start({ gracePeriod: '60s' })
    const user = await withCertificate(cluster.controlPlane, gatehouse)
    const logs = user.start(['logs', '-f', 'web', '--tail=1'])
    await logs.until(/tick/)
    const closed = gatehouse.gatehouse.close()
    await expect.poll(() => readyz(gatehouse)).toContain('[-]shutdown failed')
    const late = await user.kubectl(['get', 'pods'])
    expect(late.code).toBe(1)
    expect(late.stderr).toContain('was refused')
    await logs.stop()
    await closed
  })

  async function start(shutdown: { gracePeriod: string }): Promise<TestGatehouse> {
    const upstream = { kubeconfig: cluster.gatehouseKubeconfig }
    const gatehouse = await startTestGatehouse({ upstream, configuration: { shutdown } })
    onTestFinished(() => gatehouse.close())
    return gatehouse
  }
})

const CONFIG_MAPS = `/api/v1/namespaces/${NAMESPACE}/configmaps`

async function readyz({ probesUrl }: TestGatehouse): Promise<string> {
  const response = await fetch(`${probesUrl}/readyz`)
  return `${response.status} ${await response.text()}`
}

function isStream({ verb, objectRef }: AuditEvent): boolean {
  return verb === 'watch' || ['log', 'exec'].includes(objectRef?.['subresource'] ?? '')
}

function isStartOfStream(event: AuditEvent): boolean {
  return isStream(event) && event.stage === 'ResponseStarted'
}

function isEndOfStream(event: AuditEvent): boolean {
  return isStream(event) && event.stage === 'ResponseComplete'
}

function abortedBy({ annotations }: AuditEvent): string | undefined {
  return annotations['gatehouse/abortedBy']
}
