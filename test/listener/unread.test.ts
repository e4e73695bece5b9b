/** Clients that ask and do not read what they are told: their connections end. */
import { afterEach, beforeEach, expect, test } from 'vitest'

import { writeRefusal } from '../../src/http/refusal.ts'
import { StatusError } from '../../src/status.ts'
import { startBareListener, type BareListener } from '../support/bare-listener.ts'
import { connectHttp2, headers, ping, SETTING, type Fields } from '../support/http2-frames.ts'
import { connectRaw } from '../support/raw.ts'

const patience = { timeout: 10_000, interval: 20 }

const GET: Fields = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'gatehouse'],
  [':path', '/api'],
]

let bare: BareListener
let asked: number
let answered: number

beforeEach(async () => {
  asked = 0
  answered = 0
  bare = await startBareListener({
    handle(exchange) {
      asked += 1
      exchange.onClose(() => (answered += 1))
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
  { what: 'opens no window for it', frames: [] },
  { what: 'sends a bad frame as well', frames: [ping('x'.repeat(40))] },
])('an HTTP/2 client that leaves a refusal unread and $what is let go', async ({ frames }) => {
  const client = await connectHttp2(bare.target, {
    silent: true,
    settings: { [SETTING.INITIAL_WINDOW_SIZE]: 0 },
  })
  client.send(headers(1, GET), ...frames)
  await expect.poll(() => asked, patience).toBe(1)
  await expect.poll(() => answered, patience).toBe(1)
  client.raw.destroy()
  await expect.poll(connections, patience).toBe(0)
})

test('an HTTP/1.1 client that sends request after request and reads nothing is cut off', async () => {
  const client = await connectRaw(bare.target)
  client.socket.pause()
  let sent = 0
  // One at a time, as more in a row would be refused for that: until no answer gets out any more.
  const send = setInterval(() => {
    if (asked > answered || sent > asked) return
    sent += 1
    client.write('GET /api HTTP/1.1\r\nHost: gatehouse\r\n\r\n')
  }, 1)
  try {
    await expect.poll(() => answered, patience).toBeGreaterThan(0)
    await expect.poll(connections, patience).toBe(0)
    expect(answered).toBe(asked)
  } finally {
    clearInterval(send)
    client.destroy()
  }
})
