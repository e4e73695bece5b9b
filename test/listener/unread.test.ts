/** Clients that do not read their responses: their connections are closed. */
import { afterEach, beforeEach, expect, test } from 'vitest'

import { writeRefusal } from '../../src/http/refusal.ts'
import { StatusError } from '../../src/status.ts'
import { startBareListener, type BareListener } from '../support/bare-listener.ts'
import { connectHttp2, headers, ping, SETTING, type Fields } from '../support/http2-frames.ts'
import { connectRaw } from '../support/raw.ts'

const GET: Fields = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'gatehouse'],
  [':path', '/api'],
]

let bare: BareListener
let requests: number
let responses: number

beforeEach(async () => {
  requests = 0
  responses = 0
  bare = await startBareListener({
    handle(exchange) {
      requests += 1
      exchange.onClose(() => (responses += 1))
      writeRefusal(exchange, new StatusError('Unauthorized', 'x'.repeat(65_536)), [], 200)
    },
    onMalformed: () => undefined,
  })
})

afterEach(async () => {
  await bare.close()
})

const connections = async (): Promise<number> => {
  const { values } = await bare.metrics.connections.get()
  return values.reduce((sum, { value }) => sum + value, 0)
}

test.for([
  { what: 'keeps its window closed', frames: [] },
  { what: 'sends a malformed frame as well', frames: [ping('x'.repeat(40))] },
])(
  'an HTTP/2 client that does not read a refusal and $what is disconnected',
  async ({ frames }) => {
    const client = await connectHttp2(bare.target, {
      silent: true,
      settings: { [SETTING.INITIAL_WINDOW_SIZE]: 0 },
    })
    client.send(headers(1, GET), ...frames)
    await expect.poll(() => requests).toBe(1)
    await expect.poll(() => responses).toBe(1)
    client.raw.destroy()
    await expect.poll(connections).toBe(0)
  },
)

test('an HTTP/1.1 client that sends requests and reads no responses is disconnected', async () => {
  const client = await connectRaw(bare.target)
  client.socket.pause()
  let sent = 0
  // One at a time, since pipelined requests would be refused, until no more responses can be sent.
  const send = setInterval(() => {
    if (requests > responses || sent > requests) return
    sent += 1
    client.write('GET /api HTTP/1.1\r\nHost: gatehouse\r\n\r\n')
  }, 1)
  try {
    await expect.poll(() => responses).toBeGreaterThan(0)
    await expect.poll(connections).toBe(0)
    expect(responses).toBe(requests)
  } finally {
    clearInterval(send)
    client.destroy()
  }
})
