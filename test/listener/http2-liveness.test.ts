/** Clients whose disconnection from an HTTP/2 session node does not notice, and clients that are only silent. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import type { Exchange } from '../../src/http/exchange.ts'
import { writeRefusal } from '../../src/http/refusal.ts'
import { StatusError } from '../../src/status.ts'
import { startBareListener, type BareListener } from '../support/bare-listener.ts'
import {
  connectHttp2,
  FLAG,
  goaway,
  headers,
  ping,
  TYPE,
  type Fields,
  type Frame,
} from '../support/http2-frames.ts'

/** PING has 8 bytes: another length is FRAME_SIZE_ERROR (RFC 9113 section 6.7). */
const BAD_FRAME = ping('x'.repeat(40))

const get = (path: string): Fields => [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'gatehouse'],
  [':path', path],
]

describe('HTTP/2 sessions', () => {
  let bare: BareListener
  let running: Exchange[]
  let aborted: string[]
  let closed: string[]

  beforeEach(async () => {
    running = []
    aborted = []
    closed = []
    bare = await startBareListener(
      {
        handle(exchange) {
          const { rawTarget } = exchange.request
          exchange.onAbort(() => aborted.push(rawTarget))
          exchange.onClose(() => closed.push(rawTarget))
          if (rawTarget === '/refused') {
            writeRefusal(exchange, new StatusError('Unauthorized', 'no credential'), [])
          } else running.push(exchange)
        },
        onMalformed: () => undefined,
      },
      { livenessInterval: 100 },
    )
  })

  afterEach(async () => {
    await bare.close()
  })

  const connections = async (): Promise<number> => {
    const { values } = await bare.metrics.connections.get()
    return values.find(({ labels }) => labels.protocol === 'h2')?.value ?? 0
  }

  test.for([
    { what: 'a refused request', paths: ['/refused'] },
    { what: 'a watch beside a refused request', paths: ['/watch', '/refused'] },
  ])('with $what and a malformed frame end when the client has disconnected', async ({ paths }) => {
    const clients = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const client = await connectHttp2(bare.target)
        client.send(...paths.map((path, i) => headers(2 * i + 1, get(path))), BAD_FRAME)
        return client
      }),
    )
    await expect.poll(() => closed.length + running.length).toBeGreaterThanOrEqual(10)
    for (const { raw } of clients) raw.destroy()
    await expect.poll(connections).toBe(0)
    expect(closed).toHaveLength(10 * paths.length)
    expect(aborted.filter((path) => path === '/watch')).toHaveLength(paths.length === 2 ? 10 : 0)
  })

  test('end when the client does not respond to PING, and abort their requests', async () => {
    const client = await connectHttp2(bare.target, { silent: true })
    client.send(headers(1, get('/watch')))
    await client.end()
    await expect.poll(connections).toBe(0)
    expect(aborted).toEqual(['/watch'])
    expect(client.frames.some(isPing)).toBe(true)
  })

  test.for([
    { what: '', send: [] },
    { what: ' after it has sent GOAWAY', send: [goaway(0)] },
  ])('with a silent watch stay open while the client responds$what', async ({ send }) => {
    const client = await connectHttp2(bare.target)
    client.send(headers(1, get('/watch')), ...send)
    const asked = (times: number) => (frames: readonly Frame[]) =>
      frames.filter((one) => isPing(one) || isSettings(one)).length >= times
    await client.until(asked(6))
    running[0]?.request.connection.retire()
    await client.until(asked(12))
    running[0]?.response.writeHead(200, [])
    running[0]?.response.end('{}')
    expect(await client.response(1)).toMatchObject({ status: 200, body: '{}', whole: true })
    expect(aborted).toEqual([])
    client.raw.destroy()
  })
})

function isPing({ type, flags }: Frame): boolean {
  return type === TYPE.PING && (flags & FLAG.ACK) === 0
}

function isSettings({ type, flags }: Frame): boolean {
  return type === TYPE.SETTINGS && (flags & FLAG.ACK) === 0
}
