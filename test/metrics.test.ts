import { expect, test } from 'vitest'

import { createMetrics } from '../src/metrics.ts'

test('a counter has everything that was counted, however often it is scraped', async () => {
  const { registry, requests } = createMetrics({ processMetrics: false })
  requests.inc({ handler: 'a', verb: 'get', code: '200', decision: 'allow' })
  requests.inc({ code: '200', decision: 'allow', verb: 'get', handler: 'a' })
  requests.inc({ handler: 'a', verb: 'get', code: '403', decision: 'deny' })
  const twice = 'gatehouse_requests_total{handler="a",verb="get",code="200",decision="allow"} 2'
  expect(await registry.metrics()).toContain(twice)
  expect(await registry.metrics()).toContain(twice)
  requests.inc({ handler: 'a', verb: 'get', code: '200', decision: 'allow' })
  const text = await registry.metrics()
  expect(text).toContain(
    'gatehouse_requests_total{handler="a",verb="get",code="200",decision="allow"} 3',
  )
  expect(text).toContain(
    'gatehouse_requests_total{handler="a",verb="get",code="403",decision="deny"} 1',
  )
})

test('the gauge of requests in flight goes up and down, between two scrapes as well', async () => {
  const { registry, requestsInFlight } = createMetrics({ processMetrics: false })
  requestsInFlight.inc({ class: 'read' })
  requestsInFlight.inc({ class: 'read' })
  expect(await registry.metrics()).toContain('gatehouse_requests_in_flight{class="read"} 2')
  requestsInFlight.dec({ class: 'read' })
  requestsInFlight.inc({ class: 'list' })
  requestsInFlight.dec({ class: 'list' })
  const text = await registry.metrics()
  expect(text).toContain('gatehouse_requests_in_flight{class="read"} 1')
  expect(text).toContain('gatehouse_requests_in_flight{class="list"} 0')
})
