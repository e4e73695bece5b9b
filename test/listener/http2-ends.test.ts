/** However a request over HTTP/2 is answered and ends: it ends once, and the session does not count it any more. */
import { setImmediate as turn } from 'node:timers/promises'

import { afterEach, describe, expect, test } from 'vitest'

import type { Exchange } from '../../src/http/exchange.ts'
import { writeRefusal } from '../../src/http/refusal.ts'
import { StatusError } from '../../src/status.ts'
import { startBareListener, type BareListener } from '../support/bare-listener.ts'
import {
  connectHttp2,
  data,
  ERROR,
  FLAG,
  headers,
  reset,
  type Fields,
  type Http2Connection,
} from '../support/http2-frames.ts'

type Handle = (exchange: Exchange) => void | Promise<void>

let bare: BareListener
let connection: Http2Connection
let closed: string[] = []

afterEach(async () => {
  connection.raw.destroy()
  await bare.close()
})

/** A session that is idle for the timeout is closed, so that its end shows that no stream counts as open. */
async function start(handle: Handle): Promise<void> {
  closed = []
  bare = await startBareListener(
    {
      handle(exchange) {
        exchange.recognized()
        exchange.onClose(() => closed.push(exchange.request.rawTarget))
        void handle(exchange)
      },
      onMalformed: () => undefined,
    },
    { idleTimeout: 300 },
  )
  connection = await connectHttp2(bare.target)
}

const fields = (method: string, path: string, more: Fields = []): Fields => [
  [':method', method],
  [':scheme', 'https'],
  [':authority', 'localhost'],
  [':path', path],
  ...more,
]

const discard = { onData: () => undefined, onEnd: () => undefined, onError: () => undefined }
const forbidden = new StatusError('Forbidden', 'no')

const RESPONSES: readonly (readonly [name: string, status: number, handle: Handle])[] = [
  ['with a body', 200, (exchange) => respond(exchange, 200, 'body')],
  ['without a body', 204, (exchange) => respond(exchange, 204)],
  ['not modified', 304, (exchange) => respond(exchange, 304)],
  ['refused', 403, (exchange) => writeRefusal(exchange, forbidden, [])],
  ['refused after a head that cannot be sent', 403, refuseAfterHead],
  [
    'while the body is received',
    200,
    (exchange) => {
      exchange.receiveBody(discard)
      respond(exchange, 200, 'body')
    },
  ],
  ['with an end of its own', 200, (exchange) => respondInTurns(exchange, 200)],
  ['without a body, with an end of its own', 204, (exchange) => respondInTurns(exchange, 204)],
]

function respond({ response }: Exchange, status: number, body?: string): void {
  response.writeHead(status, ['x-of', 'the response'])
  response.end(body)
}

function refuseAfterHead(exchange: Exchange): void {
  for (const name of ['connection', 'not a name']) {
    expect(() => exchange.response.writeHead(200, [name, 'close'])).toThrow()
  }
  writeRefusal(exchange, forbidden, [])
}

async function respondInTurns(exchange: Exchange, status: number): Promise<void> {
  exchange.receiveBody(discard)
  exchange.response.writeHead(status, [])
  await turn()
  await turn()
  exchange.response.end()
}

const OPEN = FLAG.END_HEADERS

describe.each(RESPONSES)('over HTTP/2, a response %s', (_name, status, handle) => {
  test('is whole and ends the stream, whether the client has sent its body or not', async () => {
    await start(handle)
    const requests: readonly Buffer[][] = [
      [headers(1, fields('GET', '/1'))],
      [headers(3, fields('HEAD', '/3'))],
      [headers(5, fields('HEAD', '/5'), OPEN)],
      [headers(7, fields('POST', '/7'), OPEN), data(7, 'some')],
      [headers(9, fields('POST', '/9', [['expect', '100-continue']]), OPEN)],
      [headers(11, fields('POST', '/11'), OPEN), data(11, 'all', true)],
    ]
    for (const frames of requests) connection.send(...frames)
    for (const stream of [1, 3, 5, 7, 9, 11]) {
      expect(await connection.response(stream)).toMatchObject({ status, whole: true })
    }
    expect(await connection.end()).toBe(ERROR.NO_ERROR)
    expect(closed.toSorted()).toEqual(['/1', '/11', '/3', '/5', '/7', '/9'])
    expect(bare.errors).toEqual([])
  })

  test.each([ERROR.CANCEL, ERROR.NO_ERROR])(
    'to a request that the client resets with %i in the same packet leaves nothing',
    async (code) => {
      await start(handle)
      connection.send(
        ...[headers(1, fields('GET', '/1')), reset(1, code)],
        ...[headers(3, fields('HEAD', '/3'), OPEN), reset(3, code)],
        ...[headers(5, fields('POST', '/5'), OPEN), data(5, 'some'), reset(5, code)],
        headers(7, fields('GET', '/7')),
      )
      expect(await connection.response(7)).toMatchObject({ status, whole: true })
      expect(await connection.end()).toBe(ERROR.NO_ERROR)
      expect(new Set(closed).size).toBe(closed.length)
      expect(bare.errors).toEqual([])
    },
  )
})
