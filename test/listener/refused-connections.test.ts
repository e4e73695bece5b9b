import { expect, test } from 'vitest'

import { createRefusedConnections } from '../../src/listener/refused-connections.ts'
import { createMetrics } from '../../src/metrics.ts'
import { memoryLog } from '../audit/fixtures.ts'
import { startBareListener } from '../support/bare-listener.ts'
import { connectRaw } from '../support/raw.ts'

const MESSAGE = 'refusing client connections: limit reached'

test('every refused connection is counted, and one per minute and reason is logged with its address', async () => {
  const { log, lines } = memoryLog()
  const metrics = createMetrics({ processMetrics: false })
  const clock = { now: 0 }
  const refused = createRefusedConnections({ log, metrics, now: () => clock.now })
  for (let i = 0; i < 500; i += 1) refused('handshake_rate', '::ffff:192.0.2.1')
  refused('evicted', '192.0.2.2')
  clock.now = 60_000
  refused('handshake_rate', '192.0.2.3')
  expect(lines).toMatchObject([
    { level: 'warn', msg: MESSAGE, reason: 'handshake_rate', address: '192.0.2.1' },
    { level: 'warn', msg: MESSAGE, reason: 'evicted', address: '192.0.2.2' },
    {
      level: 'warn',
      msg: MESSAGE,
      reason: 'handshake_rate',
      address: '192.0.2.3',
      suppressed: 499,
    },
  ])
  expect((await metrics.connectionsRefused.get()).values).toMatchObject([
    { labels: { reason: 'handshake_rate' }, value: 501 },
    { labels: { reason: 'evicted' }, value: 1 },
  ])
})

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const UPGRADE = `GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`

test.for([
  { name: 'more pipelined requests than are queued', bytes: GET.repeat(18) },
  { name: 'an upgrade after a request without a response yet', bytes: GET + UPGRADE },
])('$name closes the connection and is counted', async ({ bytes }) => {
  const bare = await startBareListener({ handle: () => undefined, onMalformed: () => undefined })
  try {
    const connection = await connectRaw(bare.target)
    connection.write(bytes)
    await connection.rest()
    const { values } = await bare.metrics.connectionsRefused.get()
    expect(values).toMatchObject([{ labels: { reason: 'pipelined' }, value: 1 }])
  } finally {
    await bare.close()
  }
})
