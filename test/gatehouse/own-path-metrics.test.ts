/** What Gatehouse itself serves is visible in the metrics: that users can sign in, and get certificates. */
import { expect, onTestFinished, test } from 'vitest'

import { startApiServer } from '../support/api-server.ts'
import { certificateRequest } from '../support/certificate-request.ts'
import { createClient } from '../support/client.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { createPageClient } from '../support/page-client.ts'
import { startPagesWorld } from '../support/pages-world.ts'
import { scrape } from '../support/scrape.ts'

/** `handler verb code count` of `gatehouse_requests_total`, sorted. */
async function requests(gatehouse: TestGatehouse): Promise<readonly string[]> {
  const lines = await scrape(gatehouse, 'gatehouse_requests_total{')
  const labels = /handler="(\w+)",verb="(\w+)",code="(\d+)",decision="\w+"\} (\d+)$/
  return lines
    .map((line) => {
      const [, ...values] = labels.exec(line) ?? [line, line]
      return values.join(' ')
    })
    .toSorted()
}

test('requests are counted by what they are for, and failures to sign a certificate with them', async () => {
  const api = await startApiServer()
  onTestFinished(() => api.close())
  const gatehouse = await startTestGatehouse({
    upstream: upstreamOf(api),
    issuing: { privateKeyFile: undefined, signCommand: { command: ['/bin/false'] } },
  })
  onTestFinished(() => gatehouse.close())
  const token = await gatehouse.token({ groups: [], auth_time: Math.floor(Date.now() / 1_000) })
  const client = createClient({ url: gatehouse.url, ca: gatehouse.ca, token })
  onTestFinished(() => client.close())

  await client.ask('/api/v1/pods')
  await client.ask('/.well-known/gatehouse')
  await client.ask('/gatehouse/api/whoami')
  await client.ask('/gatehouse/api/locks')
  await client.ask('/gatehouse/nothing')
  const order = {
    ...{ apiVersion: 'gatehouse/v1', kind: 'CertificateOrder' },
    request: certificateRequest(),
  }
  const refused = await client.ask('/gatehouse/api/v1/certificates', {
    method: 'POST',
    body: JSON.stringify(order),
  })
  expect(refused.status).toBe(503)

  expect(await requests(gatehouse)).toEqual([
    'certificates post 503 1',
    'discovery get 200 1',
    'kubernetes list 200 1',
    'locks get 403 1',
    'none get 404 1',
    'whoami get 200 1',
  ])
})

test('pages whose issuer is down are counted as failed', async () => {
  const world = await startPagesWorld()
  onTestFinished(() => world.close())
  await world.provider.close()
  const browser = createPageClient({ ca: [world.gatehouse.ca, world.providerCA] })
  onTestFinished(() => browser.close())
  await browser.ask(`${world.pagesURL}/gatehouse/`)
  expect((await browser.ask(`${world.pagesURL}/gatehouse/sign-in`)).status).toBe(502)
  expect(await requests(world.gatehouse)).toEqual(['pages get 200 1', 'pages get 502 1'])
})
