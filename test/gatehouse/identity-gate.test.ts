import { once } from 'node:events'
import { readFile } from 'node:fs/promises'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { createClient } from '../support/client.ts'
import {
  kubeconfigOf,
  startTestGatehouse,
  upstreamOf,
  type TestGatehouse,
} from '../support/gatehouse.ts'
import { openWatch, replaceAndReload } from '../support/reloading.ts'

describe.each([
  { mode: 'requestheader', userHeader: 'x-remote-user' },
  { mode: 'impersonation', userHeader: 'impersonate-user' },
])('an API server that ignores the asserted identity ($mode)', ({ mode, userHeader }) => {
  let api: ApiServer
  let gatehouse: TestGatehouse

  beforeEach(async () => {
    api = await startApiServer()
    api.userHeader = userHeader
    gatehouse = await startTestGatehouse({
      upstream: upstreamOf(api),
      configuration: { upstream: { identity: { mode } } },
    })
  })

  afterEach(async () => {
    await gatehouse.close()
    await api.close()
  })

  async function get() {
    const client = createClient({
      url: gatehouse.url,
      ca: gatehouse.ca,
      token: await gatehouse.token(),
    })
    const { status, body } = await client.ask('/api/v1/pods')
    await client.close()
    return { status, body }
  }

  /** Any reload is followed by a check. */
  async function checkAgain(): Promise<void> {
    const rules = await readFile(gatehouse.file('rules.yaml'), 'utf8')
    await replaceAndReload(gatehouse, 'rules.yaml', `${rules}\n`)
  }

  test('gets no request any more, and running streams end', async () => {
    expect((await get()).status).toBe(200)
    const watch = await openWatch({ gatehouse, api })
    const ended = once(watch, 'end')
    api.userHeader = 'x-not-sent'
    await checkAgain()
    await ended
    api.received.length = 0
    const { status, body } = await get()
    expect(status).toBe(503)
    expect(JSON.parse(body)).toMatchObject({ kind: 'Status', reason: 'ServiceUnavailable' })
    expect(api.received).toEqual([])
    const [event] = await gatehouse.eventsWhere(
      ({ responseStatus }) => responseStatus?.code === 503,
    )
    expect(event?.annotations['gatehouse/cause']).toContain('ignored the asserted identity')
    expect(event?.annotations).not.toHaveProperty(['gatehouse/identity'])
    api.userHeader = userHeader
    await expect.poll(async () => (await get()).status).toBe(200)
  })

  test('does not get a credential of a reload into force: the earlier one stays', async () => {
    const other = await startApiServer()
    try {
      other.userHeader = 'x-not-sent'
      await replaceAndReload(
        gatehouse,
        'upstream.kubeconfig',
        await kubeconfigOf(upstreamOf(other)),
      )
      const failures = () => gatehouse.log.filter((line) => line.includes('reload failed')).join('')
      await expect.poll(failures).toContain('the new credential was tried and is not used')
      expect((await get()).status).toBe(200)
      expect(other.received).toEqual([])
      expect(api.received).not.toEqual([])

      // It is tried again, and comes into force when the API server accepts it.
      other.userHeader = userHeader
      const reached = async (): Promise<number> => {
        await get()
        return other.received.length
      }
      await expect.poll(reached).toBeGreaterThan(0)
    } finally {
      await other.close()
    }
  })
})
