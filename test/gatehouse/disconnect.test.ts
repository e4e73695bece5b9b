import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'

const WATCH = '/api/v1/pods?watch=true'

describe.each(['HTTP/1.1', 'HTTP/2'])('a client with a watch over %s', (protocol) => {
  let api: ApiServer
  let gatehouse: TestGatehouse
  let watches: number

  beforeAll(async () => {
    watches = 0
    api = await startApiServer()
    api.handler = (_, response) => {
      watches += 1
      response.writeHead(200, { 'content-type': 'application/json' })
      const timer = setInterval(() => response.write('{"type":"ADDED"}\n'), 50)
      response.once('close', () => {
        watches -= 1
        clearInterval(timer)
      })
    }
    gatehouse = await startTestGatehouse({
      upstream: upstreamOf(api),
      configuration: { shutdown: { gracePeriod: '60s' } },
    })
  })

  afterAll(async () => {
    await gatehouse.close()
    await api.close()
  })

  test.for([
    { how: 'is killed', leave: (socket: Socket) => socket.destroy() },
    { how: 'says that it sends no more', leave: (socket: Socket) => socket.end() },
    { how: 'resets the connection', leave: (socket: Socket) => socket.resetAndDestroy() },
  ])('that $how takes it along to the API server', async ({ leave }) => {
    leave(await watch())
    await expect.poll(() => watches).toBe(0)
  })

  test('that leaves during a shutdown does not hold it up', async () => {
    const socket = await watch()
    const closed = gatehouse.gatehouse.close()
    await expect.poll(() => fetch(`${gatehouse.probesUrl}/readyz`)).toMatchObject({ status: 503 })
    socket.destroy()
    await closed
    expect(watches).toBe(0)
    const ends = (await gatehouse.events()).filter(({ stage }) => stage === 'ResponseComplete')
    expect(ends.map(({ annotations }) => annotations['gatehouse/abortedBy'])).toEqual(
      ends.map(() => 'client'),
    )
  })

  /** Gives the TCP connection below once an event has come. */
  async function watch(): Promise<Socket> {
    const isHttp2 = protocol === 'HTTP/2'
    const socket = connect(gatehouse.port, '127.0.0.1')
    const tls = connectTls({
      socket,
      ca: gatehouse.ca,
      servername: 'localhost',
      ALPNProtocols: [isHttp2 ? 'h2' : 'http/1.1'],
    })
    tls.on('error', () => undefined)
    await once(tls, 'secureConnect')
    const authorization = `Bearer ${await gatehouse.token()}`
    if (isHttp2) await watchOverHttp2(tls, authorization)
    else await watchOverHttp1(tls, authorization)
    return socket
  }

  async function watchOverHttp2(tls: TLSSocket, authorization: string): Promise<void> {
    const session = connectHttp2(gatehouse.url, { createConnection: () => tls })
    session.on('error', () => undefined)
    const stream = session.request({ ':path': WATCH, authorization })
    stream.on('error', () => undefined)
    await once(stream, 'data')
  }

  async function watchOverHttp1(tls: TLSSocket, authorization: string): Promise<void> {
    tls.write(`GET ${WATCH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${authorization}\r\n\r\n`)
    for await (const chunk of tls.iterator({ destroyOnReturn: false })) {
      if (String(chunk).includes('ADDED')) return
    }
  }
})
