/** Bodies that end before anything reads them: each request gets its response, with the body intact. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startAttack, type Attack } from '../support/attack.ts'
import { data, FLAG, headers, type Fields } from '../support/http2-frames.ts'
import { readResponse } from '../support/raw.ts'

let attack: Attack

beforeAll(async () => {
  attack = await startAttack()
})

afterAll(() => attack.close())

/** Short and long requests: they are forwarded in different ways. */
const TARGETS = [
  ['DELETE', '/api/v1/namespaces/default/pods/web'],
  ['POST', '/api/v1/namespaces/default/pods/web/exec'],
  ['GET', '/api/v1/pods?watch=true'],
  ['GET', '/version'],
] as const

async function fieldsFor(method: string, path: string, more: Fields = []): Promise<Fields> {
  const fields = await attack.fields(path, more)
  return fields.map(([name, value]) => [name, name === ':method' ? method : value] as const)
}

/** What follows the HEADERS frame, in the same packet. */
const ENDINGS = [
  ['an empty DATA frame', (id: number) => [data(id, '', true)], '', []],
  [
    'an empty DATA frame and a length of 0',
    (id: number) => [data(id, '', true)],
    '',
    [['content-length', '0']],
  ],
  ['two empty DATA frames', (id: number) => [data(id, ''), data(id, '', true)], '', []],
  ['trailers', (id: number) => [headers(id, [['x-trailer', '1']])], '', []],
  ['an empty DATA frame and trailers', (id: number) => [data(id, ''), headers(id, [])], '', []],
  ['one byte', (id: number) => [data(id, 'x', true)], 'x', []],
  [
    'one byte, then an empty DATA frame',
    (id: number) => [data(id, 'x'), data(id, '', true)],
    'x',
    [],
  ],
] as const

describe.each(ENDINGS)(
  'over HTTP/2, a request whose body ends with %s',
  (_name, ending, body, more) => {
    test.for(TARGETS)('gets its response in one packet: %s %s', async ([method, path]) => {
      const fields = await fieldsFor(method, path, more)
      const connection = await attack.connectHttp2()
      const { value: response, received } = await attack.watching(async () => {
        connection.send(headers(1, fields, FLAG.END_HEADERS), ...ending(1))
        return connection.response(1)
      })
      expect(response).toMatchObject({ status: 200, whole: true })
      expect(received.map((one) => one.body)).toEqual([body])
      connection.raw.destroy()
    })
  },
)

const HTTP1_ENDINGS = [
  ['no bytes', 'Content-Length: 0\r\n\r\n', ''],
  ['an empty chunk', 'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n', ''],
  ['an empty chunk and trailers', 'Transfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\n\r\n', ''],
  ['one byte', 'Content-Length: 1\r\n\r\nx', 'x'],
  ['one byte in a chunk', 'Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n', 'x'],
] as const

describe.each(HTTP1_ENDINGS)(
  'over HTTP/1.1, a request whose body ends with %s',
  (_name, end, body) => {
    test.for(TARGETS)('gets its response in one packet: %s %s', async ([method, path]) => {
      const authorization = await attack.bearer()
      const { value: response, received } = await attack.watching(async () => {
        const connection = await attack.connect()
        connection.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\n${authorization}${end}`)
        const read = await readResponse(connection)
        connection.destroy()
        return read
      })
      expect(response.status).toBe(200)
      expect(received.map((one) => one.body)).toEqual([body])
    })
  },
)

test('over HTTP/2, a refused request with an announced, empty body gets its refusal', async () => {
  const connection = await attack.connectHttp2()
  const fields = (await fieldsFor('DELETE', '/version')).filter(
    ([name]) => name !== 'authorization',
  )
  connection.send(headers(1, fields, FLAG.END_HEADERS), data(1, '', true))
  expect(await connection.response(1)).toMatchObject({ status: 401, whole: true })
  connection.raw.destroy()
})
