/**
 * An upstream connection on which fewer bytes were sent than announced must not be reused: the API server
 * would read the next user's request as the rest of the body. Gatehouse has one upstream connection
 * here, so that the next user has to wait for exactly that one.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import {
  headerValues,
  startApiServer,
  type ApiHandler,
  type ApiServer,
} from '../support/api-server.ts'
import { startAttack, type Attack, type Watched } from '../support/attack.ts'
import { data, FLAG, goaway, headers, reset, TYPE, type Fields } from '../support/http2-frames.ts'
import { startRawApiServer } from '../support/raw-api-server.ts'
import { readResponse, readResponses } from '../support/raw.ts'

const PATH = '/api/v1/namespaces/d/configmaps'

let api: ApiServer
let attack: Attack

beforeAll(async () => {
  api = await startApiServer()
  attack = await startAttack({
    api,
    configuration: { upstream: { connections: { maxConnections: 1 } } },
  })
})

afterEach(async () => {
  api.handler = undefined
  await attack.settled()
})

afterAll(async () => {
  await attack.expectNoSecretLeaked()
  await attack.close()
  await api.close()
})

interface Upload {
  send(bytes: string, isLast?: boolean): void
  /** The client's response, once it has arrived. */
  response(): Promise<{ readonly status: number | undefined; readonly body: string }>
  readonly leave: Readonly<Record<string, () => void>>
  end(): void
}

interface UploadOptions {
  readonly method: string
  /** Announced length; undefined when not announced. */
  readonly length: number | undefined
  readonly expect?: boolean
}

interface Front {
  readonly front: string
  readonly begin: (options: UploadOptions) => Promise<Upload>
}

const HTTP1: Front = {
  front: 'HTTP/1.1',
  async begin({ method, length, expect: expects = false }) {
    const connection = await attack.connect()
    connection.write(
      `${method} ${PATH} HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}` +
        (length === undefined
          ? 'Transfer-Encoding: chunked\r\n'
          : `Content-Length: ${length}\r\n`) +
        `${expects ? 'Expect: 100-continue\r\n' : ''}\r\n`,
    )
    return {
      send(bytes, isLast = false) {
        if (length === undefined) {
          connection.write(
            `${bytes.length.toString(16)}\r\n${bytes}\r\n${isLast ? '0\r\n\r\n' : ''}`,
          )
        } else connection.write(bytes)
      },
      response: () => readResponse(connection),
      leave: { close: () => connection.destroy(), 'TCP reset': () => connection.reset() },
      end: () => connection.destroy(),
    }
  },
}

const HTTP2: Front = {
  front: 'HTTP/2',
  async begin({ method, length, expect: expects = false }) {
    const connection = await attack.connectHttp2()
    const more: Fields = [
      ...(length === undefined ? [] : ([['content-length', String(length)]] as const)),
      ...(expects ? ([['expect', '100-continue']] as const) : []),
    ]
    const fields = (await attack.fields(PATH, more)).map(
      ([name, value]) => [name, name === ':method' ? method : value] as const,
    )
    connection.send(headers(1, fields, FLAG.END_HEADERS))
    return {
      send: (bytes, isLast = false) => connection.send(data(1, bytes, isLast)),
      response: () => connection.response(1),
      leave: {
        RST_STREAM: () => connection.send(reset(1)),
        'GOAWAY and close': () => {
          connection.send(goaway(0))
          connection.raw.socket.end()
        },
        close: () => connection.raw.destroy(),
        'TCP reset': () => connection.raw.reset(),
      },
      end: () => connection.raw.destroy(),
    }
  },
}

/** A second user's requests, with and without bodies: each must arrive complete and get its response. */
async function secondUser(): Promise<void> {
  api.handler = undefined
  const bearer = await attack.bearer({ sub: 'eve' })
  const connection = await attack.connect()
  for (const body of ['', 'first body of eve', '', 'x'.repeat(5_000)]) {
    const method = body === '' ? 'GET' : 'POST'
    const url = `/api/v1/namespaces/eve/secrets?limit=${body.length}`
    connection.write(
      `${method} ${url} HTTP/1.1\r\nHost: gatehouse\r\n${bearer}Content-Length: ${body.length}\r\n\r\n${body}`,
    )
    const response = await readResponse(connection)
    expect(response.status).toBe(200)
    expect(JSON.parse(response.body)).toMatchObject({ method, url, body, complete: true })
  }
  connection.destroy()
}

/** Runs the first user's attack, then the second user's requests. */
async function withSecondUser(act: () => Promise<void>): Promise<Watched<undefined>> {
  return attack.watching(async () => {
    await act()
    await secondUser()
    return undefined
  })
}

function expectNeverShared({ received }: Watched<unknown>): void {
  const of = (user: string): Set<number> =>
    new Set(
      received
        .filter((one) => headerValues(one, 'impersonate-user')[0] === user)
        .map(({ connection }) => connection),
    )
  const [ada, eve] = [of('oidc:ada'), of('oidc:eve')]
  expect(ada.size).toBe(1)
  expect(eve.size).toBe(1)
  expect([...eve]).not.toEqual([...ada])
  for (const one of received) {
    if (headerValues(one, 'impersonate-user')[0] === 'oidc:eve') expect(one.complete).toBe(true)
  }
}

const EARLY: readonly (readonly [what: string, status: number])[] = [
  ['413', 413],
  ['403', 403],
  ['417', 417],
  ['429', 429],
  ['200', 200],
]

/** Responds without reading the body, and keeps the connection. */
const respondEarly =
  (status: number): ApiHandler =>
  (_request, response) => {
    const body = JSON.stringify({ kind: 'Status', code: status })
    response.writeHead(status, {
      'content-type': 'application/json',
      'content-length': String(body.length),
    })
    response.end(body)
  }

describe.for([HTTP1, HTTP2])('with $front in front', ({ front, begin }) => {
  describe.for(EARLY)('an early %s while the body is being sent', ([, status]) => {
    beforeEach(() => {
      api.handler = respondEarly(status)
    })

    test.for<readonly [what: string, options: UploadOptions]>([
      ['of known length', { method: 'POST', length: 100_000 }],
      ['in chunks', { method: 'POST', length: undefined }],
      ['of a PATCH', { method: 'PATCH', length: 100_000 }],
      ['of a DELETE', { method: 'DELETE', length: 100_000 }],
      ['of a GET', { method: 'GET', length: 100_000 }],
      ['behind Expect: 100-continue', { method: 'PUT', length: 100_000, expect: true }],
    ])(
      '%s reaches the client at once; the next user gets another connection',
      async ([, options]) => {
        const outcome = await withSecondUser(async () => {
          const upload = await begin(options)
          upload.send('half of the body')
          // The body has not been sent completely, and never is.
          const response = await upload.response()
          expect(response.status).toBe(status)
          expect(JSON.parse(response.body)).toEqual({ kind: 'Status', code: status })
          upload.end()
        })
        expectNeverShared(outcome)
      },
    )

    test('and the rest of the body, sent after it, does not reach another request', async () => {
      const outcome = await withSecondUser(async () => {
        const upload = await begin({ method: 'POST', length: 60_000 })
        upload.send('a'.repeat(10_000))
        expect((await upload.response()).status).toBe(status)
        upload.send('b'.repeat(50_000), true)
        await secondUser()
        upload.end()
      })
      expectNeverShared(outcome)
      expect(outcome.received[0]?.complete).toBe(false)
    })
  })

  test('an upload whose body never begins does not reach the API server; the next user is served', async () => {
    const outcome = await withSecondUser(async () => {
      const upload = await begin({ method: 'POST', length: 10 })
      upload.end()
    })
    const users = outcome.received.map((one) => headerValues(one, 'impersonate-user')[0])
    expect(new Set(users)).toEqual(new Set(['oidc:eve']))
  })

  const endings =
    front === 'HTTP/1.1'
      ? ['close', 'TCP reset']
      : ['RST_STREAM', 'GOAWAY and close', 'close', 'TCP reset']

  test.for(endings.flatMap((how) => [[how, 100_000] as const, [how, undefined] as const]))(
    'an upload ended by %s (length %s) is never complete and never a success',
    async ([how, length]) => {
      const begun = Promise.withResolvers<undefined>()
      const broken = Promise.withResolvers<undefined>()
      api.handler = (request) => {
        request.on('data', () => begun.resolve(undefined))
        request.on('close', () => broken.resolve(undefined))
      }
      const outcome = await withSecondUser(async () => {
        const upload = await begin({ method: 'POST', length })
        upload.send('half of the body')
        await begun.promise
        upload.leave[how]?.()
        await broken.promise
        upload.end()
      })
      expectNeverShared(outcome)
      expect(outcome.received[0]).toMatchObject({ body: 'half of the body', complete: false })
      const [event, ...others] = outcome.events.filter(({ user }) => user.username === 'oidc:ada')
      expect(others).toEqual([])
      expect(event?.stage).toBe('ResponseComplete')
      // Over HTTP/1.1 a FIN within a body makes the request invalid: its client may still read, and gets
      // a 400.
      expect([400, 499]).toContain(event?.responseStatus?.code)
    },
  )

  test('when the API server resets within an upload, the client gets a 502 and it is not repeated', async () => {
    api.handler = (request) => {
      request.once('data', () => request.socket.destroy())
    }
    const outcome = await withSecondUser(async () => {
      const upload = await begin({ method: 'POST', length: 100_000 })
      upload.send('half of the body')
      expect((await upload.response()).status).toBe(502)
      upload.end()
    })
    expectNeverShared(outcome)
    expect(outcome.events.map(({ responseStatus }) => responseStatus?.code)).toEqual([
      502, 200, 200, 200, 200,
    ])
  })

  test.for(['POST', 'PUT', 'PATCH', 'DELETE'])(
    'when the API server resets after a complete %s, the client gets a 502 and it is not repeated',
    async (method) => {
      // A connection that has worked before, like a stale one of the pool.
      await secondUser()
      await attack.settled()
      api.handler = (request) => {
        request.on('end', () => request.socket.destroy())
        request.resume()
      }
      const { received, events } = await attack.watching(async () => {
        const upload = await begin({ method, length: 5 })
        upload.send('whole', true)
        const response = await upload.response()
        expect(response.status).toBe(502)
        expect(response.body).toContain('may or may not have been carried out')
        upload.end()
      })
      expect(received).toMatchObject([{ method, body: 'whole', complete: true }])
      expect(events).toMatchObject([{ responseStatus: { code: 502 } }])
    },
  )

  test('a client that closes before the response to a complete upload does not affect the next user', async () => {
    const arrived = Promise.withResolvers<undefined>()
    api.handler = (request) => {
      request.on('end', () => arrived.resolve(undefined))
    }
    const outcome = await withSecondUser(async () => {
      const upload = await begin({ method: 'POST', length: 5 })
      upload.send('whole', true)
      await arrived.promise
      upload.end()
    })
    expectNeverShared(outcome)
    expect(outcome.events[0]).toMatchObject({ responseStatus: { code: 499 } })
  })

  test('a client that closes within a response does not affect the next user', async () => {
    api.handler = (_request, response) => {
      response.writeHead(200, { 'content-length': '1000000' })
      response.write('x'.repeat(1_000))
    }
    const outcome = await withSecondUser(async () => {
      const upload = await begin({ method: 'POST', length: 5 })
      upload.send('whole', true)
      await expect.poll(() => api.received.at(-1)?.body).toBe('whole')
      upload.end()
    })
    expectNeverShared(outcome)
  })
})

describe('an HTTP/2 body that differs from its announced length', () => {
  test.for<readonly [what: string, length: number, bytes: string]>([
    ['is shorter', 10, 'short'],
    ['is longer', 3, 'longer'],
    ['is missing', 10, ''],
  ])(
    'and %s ends the stream or its session, and no complete request arrives',
    async ([, length, bytes]) => {
      const outcome = await withSecondUser(async () => {
        const connection = await attack.connectHttp2()
        const fields = (await attack.fields(PATH, [['content-length', String(length)]])).map(
          ([name, value]) => [name, name === ':method' ? 'POST' : value] as const,
        )
        connection.send(
          ...(bytes === ''
            ? [headers(1, fields)]
            : [headers(1, fields, FLAG.END_HEADERS), data(1, bytes, true)]),
        )
        const response = await connection.response(1)
        expect(response.status).toBeUndefined()
        expect(response.whole).toBe(false)
        connection.raw.destroy()
      })
      const ada = outcome.received.filter(
        (one) => headerValues(one, 'impersonate-user')[0] === 'oidc:ada',
      )
      expect(ada.filter(({ complete }) => complete)).toEqual([])
    },
  )

  test('because of two lengths or an invalid one resets the stream', async () => {
    for (const lengths of [['5', '6'], ['+5'], ['5, 5'], ['']]) {
      const { received } = await attack.watching(async () => {
        const connection = await attack.connectHttp2()
        const more: Fields = lengths.map((length) => ['content-length', length])
        const fields = (await attack.fields(PATH, more)).map(
          ([name, value]) => [name, name === ':method' ? 'POST' : value] as const,
        )
        connection.send(headers(1, fields, FLAG.END_HEADERS), data(1, 'hello', true))
        await connection.response(1)
        connection.raw.destroy()
      })
      expect(received.filter(({ complete, body }) => complete && body === 'hello').length).toBe(0)
    }
  })

  test('does not matter for trailers with identity headers: they are read and dropped', async () => {
    const { received } = await attack.watching(async () => {
      const connection = await attack.connectHttp2()
      const fields = (await attack.fields(PATH)).map(
        ([name, value]) => [name, name === ':method' ? 'POST' : value] as const,
      )
      connection.send(
        headers(1, fields, FLAG.END_HEADERS),
        data(1, 'hello'),
        headers(1, [
          ['impersonate-user', 'root'],
          ['x-remote-user', 'root'],
        ]),
      )
      expect((await connection.response(1)).status).toBe(200)
      connection.raw.destroy()
    })
    expect(received).toMatchObject([{ body: 'hello', complete: true }])
    expect(JSON.stringify(received)).not.toContain('root')
  })
})

test('an early response does not close the client’s connection when the rest of the body is small', async () => {
  api.handler = respondEarly(413)
  const { value } = await attack.watching(async () => {
    const connection = await attack.connect()
    const bearer = await attack.bearer()
    connection.write(
      `POST ${PATH} HTTP/1.1\r\nHost: gatehouse\r\n${bearer}Content-Length: 20\r\n\r\nhalf`,
    )
    const first = await readResponse(connection)
    api.handler = undefined
    const request = `GET /version HTTP/1.1\r\nHost: gatehouse\r\n${bearer}Connection: close\r\n\r\n`
    connection.write(`and the other ha${request}`)
    return [first, ...(await readResponses(connection))]
  })
  expect(value.map(({ status }) => status)).toEqual([413, 200])
  expect(JSON.parse(value[1]!.body)).toMatchObject({ url: '/version' })
})

test('over HTTP/2 an early response asks the client to stop sending, without an error', async () => {
  api.handler = respondEarly(413)
  const connection = await attack.connectHttp2()
  const fields = (await attack.fields(PATH)).map(
    ([name, value]) => [name, name === ':method' ? 'POST' : value] as const,
  )
  connection.send(headers(1, fields, FLAG.END_HEADERS), data(1, 'half'))
  await connection.until((frames) => frames.some(({ type }) => type === TYPE.RST_STREAM))
  expect(await connection.response(1)).toMatchObject({ status: 413, whole: true, reset: 0 })
  connection.raw.destroy()
})

test('an unsolicited response is not delivered to the next user', async () => {
  const raw = await startRawApiServer()
  const poisoned = await startAttack({
    api: raw,
    configuration: { upstream: { connections: { maxConnections: 1 } } },
  })
  const forged = '{"forged":true}'
  raw.script = ({ write, request }) => {
    const body = JSON.stringify({ url: request.url })
    const response = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    write(
      request.url === '/first'
        ? `${response}HTTP/1.1 200 OK\r\nContent-Length: ${forged.length}\r\n\r\n${forged}`
        : response,
    )
  }
  const ask = async (url: string): Promise<string> => {
    const { response } = await poisoned.send(
      `GET ${url} HTTP/1.1\r\nHost: gatehouse\r\n${await poisoned.bearer()}\r\n`,
    )
    return response.body
  }
  const bodies = [await ask('/first'), await ask('/second'), await ask('/third')]
  await poisoned.close()
  await raw.close()
  expect(bodies).toEqual(['/first', '/second', '/third'].map((url) => JSON.stringify({ url })))
})
