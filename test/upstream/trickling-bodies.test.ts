/** Clients that send their body a byte at a time hold the only connection of the pool no longer than allowed. */
import { afterAll, beforeAll, expect, test } from 'vitest'

import { startAttack, type Attack } from '../support/attack.ts'
import { data, FLAG, headers } from '../support/http2-frames.ts'
import { readResponse, type RawConnection } from '../support/raw.ts'

const UPLOAD = '/api/v1/namespaces/d/configmaps'
const EXEC = '/api/v1/namespaces/d/pods/web/exec'

let attack: Attack

beforeAll(async () => {
  const connections = { maxConnections: 1, bodyTimeout: '600ms', stallTimeout: '10s' }
  attack = await startAttack({ configuration: { upstream: { connections } } })
})

afterAll(() => attack.close())

/** Calls back every 50 ms for as long as a connection is open. */
async function trickle(raw: RawConnection, send: (i: number) => void, pieces = 1_000) {
  for (let i = 0; i < pieces && !raw.ended && !raw.socket.destroyed; i++) {
    send(i)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function isNextUserServed(): Promise<boolean> {
  const connection = await attack.connect()
  connection.write(`GET /version HTTP/1.1\r\nHost: x\r\n${await attack.bearer()}\r\n`)
  const { status } = await readResponse(connection)
  connection.destroy()
  return status === 200
}

test('over HTTP/1.1 a trickling body is refused in time, and the next user is served', async () => {
  const connection = await attack.connect()
  connection.write(
    `POST ${UPLOAD} HTTP/1.1\r\nHost: x\r\n${await attack.bearer()}Content-Length: 100000\r\n\r\n`,
  )
  const sending = trickle(connection, () => connection.write('x'))
  const response = await readResponse(connection)
  expect(response.status).toBe(504)
  expect(response.body).toContain('the client took too long to send the request body')
  expect(await isNextUserServed()).toBe(true)
  connection.destroy()
  await sending
  const [event] = await attack.gatehouse.eventsWhere(({ requestURI }) => requestURI === UPLOAD)
  expect(event).toMatchObject({ responseStatus: { code: 504, reason: 'Timeout' } })
})

test('over HTTP/2 a trickling body is refused in time, and the next user is served', async () => {
  const connection = await attack.connectHttp2()
  const fields = (await attack.fields(UPLOAD)).map(
    ([name, value]) => [name, name === ':method' ? 'POST' : value] as const,
  )
  connection.send(headers(1, fields, FLAG.END_HEADERS))
  const sending = trickle(connection.raw, () => connection.send(data(1, 'x')))
  expect(await connection.response(1)).toMatchObject({ status: 504 })
  expect(await isNextUserServed()).toBe(true)
  connection.raw.destroy()
  await sending
})

test('a body that ends in time is forwarded, however long the response takes', async () => {
  attack.api.handler = (_request, response) => {
    setTimeout(() => {
      response.writeHead(200, {})
      response.end('late')
    }, 1_200)
  }
  const connection = await attack.connect()
  connection.write(
    `POST ${UPLOAD} HTTP/1.1\r\nHost: x\r\n${await attack.bearer()}Content-Length: 5\r\n\r\nwhole`,
  )
  const response = await readResponse(connection)
  attack.api.handler = undefined
  expect(response).toMatchObject({ status: 200, body: 'late' })
  connection.destroy()
})

test('the body of a stream has no limit', async () => {
  const connection = await attack.connect()
  connection.write(
    `POST ${EXEC} HTTP/1.1\r\nHost: x\r\n${await attack.bearer()}Content-Length: 24\r\n\r\n`,
  )
  await trickle(connection, () => connection.write('x'), 24)
  const response = await readResponse(connection)
  expect(response.status).toBe(200)
  expect(JSON.parse(response.body)).toMatchObject({ body: 'x'.repeat(24) })
  connection.destroy()
})
