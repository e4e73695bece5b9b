/** Whole requests count until their user is authenticated, such as those whose token is being verified. */
import { afterEach, expect, test } from 'vitest'

import type { Exchange } from '../../src/http/exchange.ts'
import { startBareListener, type BareListener } from '../support/bare-listener.ts'
import { connectHttp2, headers, type Fields } from '../support/http2-frames.ts'
import { connectRaw, type RawConnection } from '../support/raw.ts'

const LIMIT = 1_048_576
const LONG = 60_000
const COUNT = 40

let bare: BareListener
const connections: RawConnection[] = []

afterEach(async () => {
  for (const connection of connections.splice(0)) connection.destroy()
  await bare.close()
})

/** Starts a listener whose requests never get a response. @returns the requests so far */
async function start(isUser: boolean): Promise<Exchange[]> {
  const exchanges: Exchange[] = []
  const handle = (exchange: Exchange): void => {
    exchanges.push(exchange)
    if (isUser) exchange.recognized()
  }
  const limits = { maxUnauthenticatedBytes: LIMIT, maxHeaderBytes: 131_072 }
  bare = await startBareListener({ handle, onMalformed: () => undefined }, limits)
  return exchanges
}

async function sendHttp1(): Promise<void> {
  const connection = await connectRaw(bare.target)
  connections.push(connection)
  connection.write(`GET / HTTP/1.1\r\nHost: gatehouse\r\nX-Long: ${'a'.repeat(LONG)}\r\n\r\n`)
}

async function sendHttp2(): Promise<void> {
  const connection = await connectHttp2(bare.target)
  connections.push(connection.raw)
  const fields: Fields = [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':authority', 'gatehouse'],
    [':path', '/'],
    ['x-long', 'a'.repeat(LONG / 4)],
  ]
  for (const id of [1, 3, 5, 7]) connection.send(headers(id, fields))
}

const open = (): number => connections.filter(({ ended }) => !ended).length

test.for([
  ['HTTP/1.1', sendHttp1],
  ['HTTP/2', sendHttp2],
] as const)(
  'requests over %s without an authenticated user, and beyond the limit, are closed',
  async ([, send]) => {
    await start(false)
    for (let i = 0; i < COUNT; i += 1) await send()
    await expect.poll(() => open() * LONG).toBeLessThanOrEqual(LIMIT)
    expect(open()).toBeGreaterThan(0)
  },
)

test.for([
  ['HTTP/1.1', sendHttp1, 1],
  ['HTTP/2', sendHttp2, 4],
] as const)('requests over %s of authenticated users are not', async ([, send, requests]) => {
  const exchanges = await start(true)
  for (let i = 0; i < COUNT; i += 1) await send()
  await expect.poll(() => exchanges.length).toBe(COUNT * requests)
  // Longer than the interval of the checks.
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(open()).toBe(COUNT)
})
