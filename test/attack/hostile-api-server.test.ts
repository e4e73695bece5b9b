/**
 * An API server, or something behind it, that answers with anything but an answer. Its client gets a
 * 502, or an answer that is visibly not whole; nobody else notices; each request is audited once.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { startAttack, type Attack, type Watched } from '../support/attack.ts'
import { createClient, type Client } from '../support/client.ts'
import { headers as headersFrame } from '../support/http2-frames.ts'
import {
  RAW_OK,
  startRawApiServer,
  type RawApiServer,
  type RawExchange,
} from '../support/raw-api-server.ts'
import { readAnswer } from '../support/raw.ts'

const GET = '/api/v1/namespaces/d/configmaps/a'
const WATCH = '/api/v1/namespaces/d/configmaps?watch=1'
const PROXY = '/api/v1/namespaces/d/services/s/proxy/'

const FRONTS = ['HTTP/1.1', 'HTTP/2'] as const
type Front = (typeof FRONTS)[number]

interface Seen {
  readonly status: number | undefined
  readonly body: string
  readonly whole: boolean
}

/** Asks as ada, over a connection of its own, and takes what comes until it ends somehow. */
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
    const { status, body, whole } = await connection.answer(1)
    connection.raw.destroy()
    return { status, body, whole }
  }
  const connection = await attack.connect()
  connection.write(
    `${method} ${path} HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}\r\n`,
  )
  const { status, body, whole } = await readAnswer(connection)
  connection.destroy()
  return { status, body, whole }
}

/** The request's only final event. */
function outcomeOf({ events }: Watched<unknown>): { code?: number; abortedBy?: string } {
  expect(events).toHaveLength(1)
  return {
    code: events[0]?.responseStatus?.code,
    abortedBy: events[0]?.annotations['gatehouse/abortedBy'],
  }
}

const REFUSED = { code: 502, abortedBy: undefined }
const BROKEN_OFF = { code: 200, abortedBy: 'upstream' }

/** What a front makes of an answer that is not one. */
function expectRefused({ value, ...watched }: Watched<Seen>): void {
  expect(value).toMatchObject({ status: 502, whole: true })
  expect(JSON.parse(value.body)).toMatchObject({ kind: 'Status', reason: 'BadGateway' })
  expect(outcomeOf({ value, ...watched })).toEqual(REFUSED)
}

function expectBrokenOff(watched: Watched<Seen>): void {
  expect(watched.value.whole).toBe(false)
  expect(outcomeOf(watched)).toEqual(BROKEN_OFF)
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
  const answered =
    (bytes: string | Buffer, end = false) =>
    ({ write, socket }: RawExchange): void => {
      write(bytes)
      if (end) socket.end()
    }

  const NO_ANSWER: readonly (readonly [what: string, script: (exchange: RawExchange) => void])[] = [
    ['5,000 early hints', answered('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(5_000) + RAW_OK)],
    ['5,000 times 100', answered('HTTP/1.1 100 Continue\r\n\r\n'.repeat(5_000) + RAW_OK)],
    ['a 101 that nobody asked for', answered(head('Connection: Upgrade\r\nUpgrade: x\r\n', '101 X'))],
    ['a 101 without Upgrade', answered(head('', '101 X') + RAW_OK)],
    ['a field of 1 MiB', answered(head(`X-A: ${'a'.repeat(1_048_576)}\r\nContent-Length: 0\r\n`))],
    ['a name of 1 MiB', answered(head(`${'a'.repeat(1_048_576)}: 1\r\nContent-Length: 0\r\n`))],
    ['1 MiB of fields', answered(head('X-A: 0123456789\r\n'.repeat(65_536) + 'Content-Length: 0\r\n'))],
    ['10,000 fields', answered(head('a:b\r\n'.repeat(10_000) + 'Content-Length: 0\r\n'))],
    [
      '10,000 names',
      answered(
        head(
          Array.from({ length: 10_000 }, (_, i) => `${i.toString(36)}:\r\n`).join('') +
            'Content-Length: 0\r\n',
        ),
      ),
    ],
    ['a bare CR in a value', answered(head('X-A: b\rSet-Cookie: a\r\nContent-Length: 0\r\n'))],
    ['a NUL in a value', answered(head('X-A: b\0c\r\nContent-Length: 0\r\n'))],
    ['a NUL in a name', answered(head('X\0A: b\r\nContent-Length: 0\r\n'))],
    ['a control character in a value', answered(head('X-A: b\x01c\r\nContent-Length: 0\r\n'))],
    ['a blank in a name', answered(head('X A: b\r\nContent-Length: 0\r\n'))],
    ['a blank before the colon', answered(head('Content-Length : 2\r\n') + '{}')],
    ['a line without a colon', answered(head('X-A\r\nContent-Length: 0\r\n'))],
    ['two lengths', answered(head('Content-Length: 2\r\nContent-Length: 3\r\n') + '{} ')],
    ['a length that is no number', answered(head('Content-Length: 0x2\r\n') + '{}')],
    ['a negative length', answered(head('Content-Length: -2\r\n') + '{}')],
    ['a length beyond 64 bits', answered(head('Content-Length: 18446744073709551618\r\n') + '{}')],
    [
      'a length and a coding',
      answered(head('Content-Length: 2\r\nTransfer-Encoding: chunked\r\n') + '0\r\n\r\n'),
    ],
    [
      'a coding and a length',
      answered(head('Transfer-Encoding: chunked\r\nContent-Length: 2\r\n') + '0\r\n\r\n'),
    ],
    ['no chunk size', answered(head('Transfer-Encoding: chunked\r\n') + 'zz\r\n{}\r\n0\r\n\r\n')],
    ['status 0', answered(head('Content-Length: 2\r\n', '000 Zero') + '{}')],
    ['status 99', answered(head('Content-Length: 2\r\n', '099 X') + '{}')],
    ['status 600', answered(head('Content-Length: 2\r\n', '600 X') + '{}')],
    ['status 999', answered(head('Content-Length: 2\r\n', '999 X') + '{}')],
    ['status 1000', answered(head('Content-Length: 2\r\n', '1000 X') + '{}')],
    ['a status of letters', answered(head('Content-Length: 2\r\n', 'abc X') + '{}')],
    ['no status', answered('HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}', true)],
    ['no status line', answered('Content-Length: 2\r\n\r\n{}', true)],
    ['HTTP/0.9', answered('<html>hello</html>', true)],
    ['HTTP/2.0 in words', answered('HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n{}', true)],
    ['another protocol', answered('SSH-2.0-OpenSSH_9.9\r\n', true)],
    ['a request', answered(`GET ${GET} HTTP/1.1\r\nHost: gatehouse\r\n\r\n`, true)],
    ['frames of HTTP/2', answered(Buffer.from('0000000400000000000000000401', 'hex'), true)],
    ['nothing', ({ socket }) => void socket.end()],
    ['half a head', answered('HTTP/1.1 200 OK\r\nContent-Le', true)],
    ['a reset', ({ reset }) => reset()],
    ['a 401', answered(head('WWW-Authenticate: Bearer\r\nContent-Length: 2\r\n', '401 X') + '{}')],
    ['a 407', answered(head('Proxy-Authenticate: Basic\r\nContent-Length: 2\r\n', '407 X') + '{}')],
  ]

  describe.for(FRONTS)('a client of %s gets a 502', (front) => {
    test.for(NO_ANSWER)('for %s', async ([, script]) => {
      api.script = script
      expectRefused(await attack.watching(() => ask(attack, front)))
    })

    test.for(NO_ANSWER)('for %s to a watch', async ([, script]) => {
      api.script = script
      expectRefused(await attack.watching(() => ask(attack, front, WATCH)))
    })
  })
})
