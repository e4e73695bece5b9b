/** `audit.mode` with the real kubectl and kube-apiserver: what waits for its event, and that it works. */
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

import { newNamespace } from '../support/cluster.ts'
import { overSPDY } from '../support/kubectl.ts'
import { startSite, type Site } from '../support/site.ts'

const NAMESPACE = newNamespace()

describe.skipIf(!inject('hasParts')).each(['blocking', 'blocking-strict'])('in mode %s', (mode) => {
  let site: Site

  beforeAll(async () => {
    const namespace = `${NAMESPACE}-${mode}`
    site = await startSite({ namespace, configuration: { audit: { mode } } })
  })

  afterAll(() => site.stop())

  const stagesOf = async (verb: string, resource: string): Promise<string[]> => {
    const events = await site.gatehouse.eventsWhere(
      (event) =>
        event.verb === verb &&
        event.objectRef?.['resource'] === resource &&
        event.stage === 'ResponseComplete',
    )
    const { auditID } = events[0] ?? {}
    const all = await site.gatehouse.events()
    return all.filter((event) => event.auditID === auditID).map(({ stage }) => stage)
  }

  const received = mode === 'blocking-strict' ? ['RequestReceived'] : []

  test('a change has its events in order', async () => {
    const { kubectl } = site.users['client certificate']
    expect(await kubectl(['create', 'configmap', 'a'])).toMatchObject({ code: 0 })
    expect(await stagesOf('create', 'configmaps')).toEqual([
      ...received,
      ...['ResponseStarted', 'ResponseComplete'],
    ])
    expect(await kubectl(['delete', 'configmap', 'a'])).toMatchObject({ code: 0 })
  })

  test('a read has no event before it is forwarded', async () => {
    const { kubectl } = site.users['OIDC token']
    expect(await kubectl(['get', 'configmaps'])).toMatchObject({ code: 0 })
    expect(await stagesOf('list', 'configmaps')).toEqual(['ResponseStarted', 'ResponseComplete'])
  })

  test('a command in a pod keeps its exit code, over both protocols', async () => {
    const { kubectl } = site.users['OIDC token']
    const args = ['exec', 'web', '--', 'sh', '-c', 'echo out; echo err >&2; exit 3']
    for (const env of [{}, overSPDY]) {
      const run = await kubectl(args, { env })
      expect(run).toMatchObject({ code: 3, stdout: 'out\n' })
      expect(run.stderr).toContain('err\n')
    }
    const events = await site.gatehouse.eventsWhere(
      ({ objectRef, stage }) =>
        objectRef?.['subresource'] === 'exec' && stage === 'ResponseComplete',
      2,
    )
    const all = await site.gatehouse.events()
    for (const { auditID } of events) {
      expect(all.filter((event) => event.auditID === auditID).map(({ stage }) => stage)).toEqual([
        ...received,
        ...['ResponseStarted', 'ResponseComplete'],
      ])
    }
  })

  test('a watch begins at once', async () => {
    const watch = site.users['client certificate'].start(['get', 'pods', '--watch'])
    expect(await watch.until(/^web .*Running/m)).toContain('web')
    await watch.stop()
  })
})
