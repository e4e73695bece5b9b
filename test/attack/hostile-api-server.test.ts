/**
 * An API server, or something behind it, that sends invalid responses. The client gets a 502, or a
 * visibly truncated response; other clients are not affected; each request is audited once.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { startAttack, type Attack, type Watched } from '../support/attack.ts'
import {
  responseFrames,
  headFrame,
  startHostileApiServer,
  type HostileApiServer,
  type HostileSession,
} from '../support/hostile-api-server.ts'
import {
  data,
  ERROR,
  FLAG,
  frame,
  goaway,
  headers as headersFrame,
  reset,
  settings,
  TYPE,
} from '../support/http2-frames.ts'
import {
  RAW_OK,
  startRawApiServer,
  type RawApiServer,
  type RawExchange,
} from '../support/raw-api-server.ts'
import { readResponse } from '../support/raw.ts'

const GET = '/api/v1/namespaces/d/configmaps/a'
const WATCH = '/api/v1/namespaces/d/configmaps?watch=1'

const FRONTS = ['HTTP/1.1', 'HTTP/2'] as const
type Front = (typeof FRONTS)[number]

interface Seen {
  readonly status: number | undefined
  /** Over HTTP/1.1 only. */
  readonly head: string
  readonly body: string
  readonly whole: boolean
}

/** Sends a request as ada over a new connection and reads until the response ends. */
async function ask(attack: Attack, front: Front, path = GET, method = 'GET'): Promise<Seen> {
  if (front === 'HTTP/2') {
    const connection = await attack.connectHttp2()
    const fields = await attack.fields(path)
    connection.send(
      headersFrame(
        1,
        fields.map(([name, value]) => [name, name === ':method' ? method : value]),
      ),
    )
    const { status, body, whole } = await connection.response(1)
    connection.raw.destroy()
    return { status, head: '', body, whole }
  }
  const connection = await attack.connect()
  connection.write(`${method} ${path} HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}\r\n`)
  const { status, head, body, whole } = await readResponse(connection)
  connection.destroy()
  return { status, head, body, whole }
}

interface Outcome {
  readonly code: number | undefined
  readonly abortedBy: string | undefined
}

/** From the request's only final audit event. */
function outcomeOf({ events }: Watched<unknown>): Outcome {
  expect(events).toHaveLength(1)
  return {
    code: events[0]?.responseStatus?.code,
    abortedBy: events[0]?.annotations['gatehouse/abortedBy'],
  }
}

const REFUSED: Outcome = { code: 502, abortedBy: undefined }
const TRUNCATED: Outcome = { code: 200, abortedBy: 'upstream' }

/** A response that is not forwarded. */
function expectRefused({ value, ...watched }: Watched<Seen>): void {
  expect(value).toMatchObject({ status: 502, whole: true })
  expect(JSON.parse(value.body)).toMatchObject({ kind: 'Status', reason: 'BadGateway' })
  expect(outcomeOf({ value, ...watched })).toEqual(REFUSED)
}

function expectTruncated(watched: Watched<Seen>): void {
  expect(watched.value.whole).toBe(false)
  expect(outcomeOf(watched)).toEqual(TRUNCATED)
}

describe('over HTTP/1.1 to the API server', () => {
  let api: RawApiServer
  let attack: Attack

  beforeAll(async () => {
    api = await startRawApiServer()
    attack = await startAttack({ api })
  })

  beforeEach(() => {
    api.script = ({ write }) => write(RAW_OK)
  })

  afterAll(async () => {
    await attack.expectNoSecretLeaked()
    await attack.close()
    await api.close()
  })

  const head = (fields: string, status = '200 OK'): string => `HTTP/1.1 ${status}\r\n${fields}\r\n`
  const respondWith =
    (bytes: string | Buffer, end = false) =>
    ({ write, socket }: RawExchange): void => {
      write(bytes)
      if (end) socket.end()
    }

  const INVALID: readonly (readonly [what: string, script: (exchange: RawExchange) => void])[] = [
    ['5,000 early hints', respondWith('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(5_000) + RAW_OK)],
    [
      '5,000 responses 100 Continue',
      respondWith('HTTP/1.1 100 Continue\r\n\r\n'.repeat(5_000) + RAW_OK),
    ],
    [
      'a 101 that was not requested',
      respondWith(head('Connection: Upgrade\r\nUpgrade: x\r\n', '101 X')),
    ],
    ['a 101 without Upgrade', respondWith(head('', '101 X') + RAW_OK)],
    [
      'a field of 1 MiB',
      respondWith(head(`X-A: ${'a'.repeat(1_048_576)}\r\nContent-Length: 0\r\n`)),
    ],
    ['a name of 1 MiB', respondWith(head(`${'a'.repeat(1_048_576)}: 1\r\nContent-Length: 0\r\n`))],
    [
      '1 MiB of fields',
      respondWith(head('X-A: 0123456789\r\n'.repeat(65_536) + 'Content-Length: 0\r\n')),
    ],
    ['10,000 fields', respondWith(head('a:b\r\n'.repeat(10_000) + 'Content-Length: 0\r\n'))],
    [
      '10,000 names',
      respondWith(
        head(
          Array.from({ length: 10_000 }, (_, i) => `${i.toString(36)}:\r\n`).join('') +
            'Content-Length: 0\r\n',
        ),
      ),
    ],
    ['a bare CR in a value', respondWith(head('X-A: b\rSet-Cookie: a\r\nContent-Length: 0\r\n'))],
    ['a NUL in a value', respondWith(head('X-A: b\0c\r\nContent-Length: 0\r\n'))],
    ['a NUL in a name', respondWith(head('X\0A: b\r\nContent-Length: 0\r\n'))],
    ['a control character in a value', respondWith(head('X-A: b\x01c\r\nContent-Length: 0\r\n'))],
    ['a space in a name', respondWith(head('X A: b\r\nContent-Length: 0\r\n'))],
    ['a space before the colon', respondWith(head('Content-Length : 2\r\n') + '{}')],
    ['a line without a colon', respondWith(head('X-A\r\nContent-Length: 0\r\n'))],
    ['two lengths', respondWith(head('Content-Length: 2\r\nContent-Length: 3\r\n') + '{} ')],
    ['a length that is not a number', respondWith(head('Content-Length: 0x2\r\n') + '{}')],
    ['a negative length', respondWith(head('Content-Length: -2\r\n') + '{}')],
    [
      'a length beyond 64 bits',
      respondWith(head('Content-Length: 18446744073709551618\r\n') + '{}'),
    ],
    [
      'a length and a transfer coding',
      respondWith(head('Content-Length: 2\r\nTransfer-Encoding: chunked\r\n') + '0\r\n\r\n'),
    ],
    [
      'a transfer coding and a length',
      respondWith(head('Transfer-Encoding: chunked\r\nContent-Length: 2\r\n') + '0\r\n\r\n'),
    ],
    ['status 0', respondWith(head('Content-Length: 2\r\n', '000 Zero') + '{}')],
    ['status 99', respondWith(head('Content-Length: 2\r\n', '099 X') + '{}')],
    ['status 600', respondWith(head('Content-Length: 2\r\n', '600 X') + '{}')],
    ['status 999', respondWith(head('Content-Length: 2\r\n', '999 X') + '{}')],
    ['status 1000', respondWith(head('Content-Length: 2\r\n', '1000 X') + '{}')],
    ['a status of letters', respondWith(head('Content-Length: 2\r\n', 'abc X') + '{}')],
    ['no status', respondWith('HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}', true)],
    ['no status line', respondWith('Content-Length: 2\r\n\r\n{}', true)],
    ['HTTP/0.9', respondWith('<html>hello</html>', true)],
    ['another protocol', respondWith('SSH-2.0-OpenSSH_9.9\r\n', true)],
    ['a request', respondWith(`GET ${GET} HTTP/1.1\r\nHost: gatehouse\r\n\r\n`, true)],
    ['frames of HTTP/2', respondWith(Buffer.from('0000000400000000000000000401', 'hex'), true)],
    ['a close without a byte', ({ socket }) => void socket.end()],
    ['half a head', respondWith('HTTP/1.1 200 OK\r\nContent-Le', true)],
    ['a reset', ({ reset }) => reset()],
    [
      'a 401',
      respondWith(head('WWW-Authenticate: Bearer\r\nContent-Length: 2\r\n', '401 X') + '{}'),
    ],
    [
      'a 407',
      respondWith(head('Proxy-Authenticate: Basic\r\nContent-Length: 2\r\n', '407 X') + '{}'),
    ],
  ]

  describe.for(FRONTS)('a client over %s gets a 502', (front) => {
    test.for(INVALID)('for %s', async ([, script]) => {
      api.script = script
      expectRefused(await attack.watching(() => ask(attack, front)))
    })

    test.for(INVALID)('for %s in response to a watch', async ([, script]) => {
      api.script = script
      expectRefused(await attack.watching(() => ask(attack, front, WATCH)))
    })

    test('for invalid chunks behind a valid head', async () => {
      api.script = respondWith(head('Transfer-Encoding: chunked\r\n') + 'zz\r\n{}\r\n0\r\n\r\n')
      expectRefused(await attack.watching(() => ask(attack, front)))
    })

    test('for a response without any of its announced body', async () => {
      api.script = respondWith(head('Content-Length: 2\r\n'), true)
      expectRefused(await attack.watching(() => ask(attack, front)))
    })
  })

  const chunked = head('Transfer-Encoding: chunked\r\n') + '3\r\n{}\n\r\n'
  const PARTIAL: readonly (readonly [what: string, script: (exchange: RawExchange) => void])[] = [
    ['an invalid chunk size', respondWith(`${chunked}zz\r\n`)],
    ['a chunk longer than it says', respondWith(`${chunked}1\r\n{}\r\n0\r\n\r\n`)],
    ['no last chunk', respondWith(chunked, true)],
    ['trailers without an end', respondWith(`${chunked}0\r\nX-A: b\r\n`, true)],
    ['fewer bytes than announced', respondWith(head('Content-Length: 9\r\n') + '{}\n', true)],
  ]

  const REQUESTS = FRONTS.flatMap((front) => [GET, WATCH].map((path) => ({ front, path })))

  describe.for(REQUESTS)('the response to GET $path over $front', ({ front, path }) => {
    test.for(PARTIAL)('is truncated by %s after a valid beginning', async ([, script]) => {
      api.script = script
      const watched = await attack.watching(() => ask(attack, front, path))
      expect(watched.value.body).toMatch(/^\{\}\n/)
      expectTruncated(watched)
    })
  })

  test.for([
    { what: 'an SSH server', bytes: 'SSH-2.0-OpenSSH_9.9\r\n' },
    { what: 'a page without a head', bytes: '<html>hello</html>' },
    { what: 'a bad chunk', bytes: `${head('Transfer-Encoding: chunked\r\n')}zz\r\n` },
  ])('$what is counted as a protocol error, not a network error', async ({ bytes }) => {
    api.script = respondWith(bytes)
    const before = attack.gatehouse.log.length
    const { value } = await attack.watching(() => ask(attack, 'HTTP/1.1'))
    expect(JSON.parse(value.body)).toMatchObject({
      message: "the API server's response is not valid HTTP",
    })
    const logged = attack.gatehouse.log.slice(before).filter((line) => line.includes('"reason":'))
    expect(logged.map((line) => JSON.parse(line) as unknown)).toEqual([
      expect.objectContaining({ reason: 'protocol' }),
    ])
  })

  describe.for(FRONTS)('over %s', (front) => {
    test.for([
      'Content-Type',
      'ETag',
      'Date',
      'Retry-After',
      'X-Content-Type-Options',
      'Content-Encoding',
      'Last-Modified',
      'Authorization',
      'HTTP2-Settings',
    ])(
      'a write that was carried out is reported as such although its response repeats %s',
      async (name) => {
        api.script = respondWith(
          head(`${name}: first\r\n${name}: second\r\nContent-Length: 2\r\n`, '201 Created') + '{}',
        )
        const watched = await attack.watching(() => ask(attack, front, GET, 'DELETE'))
        expect(watched.value).toMatchObject({ status: 201, body: '{}', whole: true })
        expect(outcomeOf(watched)).toEqual({ code: 201, abortedBy: undefined })
      },
    )

    test('a few early hints are dropped', async () => {
      api.script = respondWith('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(9) + RAW_OK)
      const { value } = await attack.watching(() => ask(attack, front))
      expect(value).toMatchObject({ status: 200, body: '{}', whole: true })
    })

    test('a head of 256 fields and nearly 48 KiB is forwarded', async () => {
      const fields = Array.from({ length: 254 }, (_, i) => `x-${i}: ${'a'.repeat(180)}\r\n`)
      api.script = respondWith(head(`${fields.join('')}Content-Length: 2\r\n`) + '{}')
      const { value } = await attack.watching(() => ask(attack, front))
      expect(value).toMatchObject({ status: 200, body: '{}', whole: true })
    })
  })

  test('the first of two Content-Type fields is forwarded', async () => {
    api.script = respondWith(
      head('Content-Type: text/plain\r\nContent-Type: text/html\r\nContent-Length: 2\r\n') + '{}',
    )
    const { value } = await attack.watching(() => ask(attack, 'HTTP/1.1'))
    expect(value.head.match(/^content-type: .*$/gim)).toEqual(['content-type: text/plain'])
  })
})

describe('a watch over HTTP/2 to the API server', () => {
  let api: HostileApiServer
  let attack: Attack

  beforeAll(async () => {
    api = await startHostileApiServer()
    attack = await startAttack({ api })
  })

  beforeEach(() => {
    api.onSession = ({ send }) => send(settings())
    api.onStream = ({ send }, stream) => send(responseFrames(stream))
  })

  afterAll(async () => {
    await attack.expectNoSecretLeaked()
    await attack.close()
    await api.close()
  })

  type Stream = (session: HostileSession, stream: number) => void
  const frames =
    (make: (stream: number) => readonly Buffer[]): Stream =>
    ({ send }, stream) =>
      send(...make(stream))

  const INVALID: readonly (readonly [what: string, respond: Stream])[] = [
    ['no status', frames((id) => [headersFrame(id, [['content-type', 'a']])])],
    ['status 0', frames((id) => [headFrame(id, '000'), data(id, '{}', true)])],
    ['status 600', frames((id) => [headFrame(id, 600), data(id, '{}', true)])],
    ['a status of letters', frames((id) => [headFrame(id, 'abc'), data(id, '{}', true)])],
    ['a 101', frames((id) => [headFrame(id, 101), data(id, '{}', true)])],
    ['a 401', frames((id) => [headFrame(id, 401), data(id, '{}', true)])],
    ['a name in upper case', frames((id) => [headFrame(id, 200, [['X-A', 'b']])])],
    ['a connection-specific field', frames((id) => [headFrame(id, 200, [['connection', 'x']])])],
    [
      '300 fields',
      frames((id) => [
        headFrame(
          id,
          200,
          Array.from({ length: 300 }, () => ['a', 'b'] as const),
        ),
      ]),
    ],
    [
      '50 interim (1xx) responses',
      frames((id) => Array.from({ length: 50 }, () => headFrame(id, 103))),
    ],
    ['DATA before any head', frames((id) => [data(id, '{}', true)])],
    ['a reset', frames((id) => [reset(id, ERROR.CANCEL)])],
    ['a reset without an error', frames((id) => [reset(id, ERROR.NO_ERROR)])],
    [
      'PUSH_PROMISE',
      frames((id) => [frame(TYPE.PUSH_PROMISE, FLAG.END_HEADERS, id, '\0\0\0\x02')]),
    ],
    ['a frame that is too large', frames((id) => [data(id, Buffer.alloc(70_000))])],
    ['bytes that are not frames', ({ socket }) => void socket.write('HTTP/1.1 200 OK\r\n\r\n')],
    ['a close of the connection', ({ socket }) => void socket.destroy()],
  ]

  describe.for(FRONTS)('of a client over %s gets a 502', (front) => {
    test.for(INVALID)('for %s', async ([, respond]) => {
      api.onStream = respond
      expectRefused(await attack.watching(() => ask(attack, front, WATCH)))
    })
  })

  const begun = (id: number): readonly Buffer[] => [headFrame(id, 200), data(id, '{}\n')]
  const PARTIAL: readonly (readonly [what: string, respond: Stream])[] = [
    ['a reset', frames((id) => [...begun(id), reset(id, ERROR.CANCEL)])],
    ['a second head', frames((id) => [...begun(id), headFrame(id, 200)])],
    [
      'more bytes than announced',
      frames((id) => [
        headFrame(id, 200, [['content-length', '3']]),
        data(id, '{}\n'),
        data(id, 'x'),
      ]),
    ],
    [
      'fewer bytes than announced',
      frames((id) => [
        headFrame(id, 200, [['content-length', '9']]),
        data(id, '{}\n'),
        data(id, '', true),
      ]),
    ],
    [
      'a GOAWAY that excludes its stream',
      frames((id) => [...begun(id), goaway(0, ERROR.PROTOCOL_ERROR)]),
    ],
    ['a frame of another stream', frames((id) => [...begun(id), data(id + 2, 'x')])],
  ]

  describe.for(FRONTS)('of a client over %s', (front) => {
    test.for(PARTIAL)('is truncated by %s', async ([, respond]) => {
      api.onStream = respond
      expectTruncated(await attack.watching(() => ask(attack, front, WATCH)))
    })
  })

  test('does not forward a field whose value contains a line break', async () => {
    api.onStream = frames((id) => [responseFrames(id, '{}', [['x-a', 'b\r\nset-cookie: c']])])
    const { value } = await attack.watching(() => ask(attack, 'HTTP/1.1', WATCH))
    expect(value).toMatchObject({ status: 200, body: '{}', whole: true })
    expect(value.head.toLowerCase()).not.toContain('set-cookie')
  })

  test('is not affected by another on the same session that is reset', async () => {
    let first: (() => void) | undefined
    api.onStream = ({ send }, stream) => {
      if (first === undefined) {
        send(...begun(stream))
        first = () => send(data(stream, 'end\n', true))
        return
      }
      send(...begun(stream), reset(stream, ERROR.CANCEL))
    }
    const good = ask(attack, 'HTTP/1.1', WATCH)
    await expect.poll(() => first).toBeDefined()
    expect(await ask(attack, 'HTTP/1.1', WATCH)).toMatchObject({ whole: false })
    first?.()
    expect(await good).toMatchObject({ status: 200, body: '{}\nend\n', whole: true })
  })
})
