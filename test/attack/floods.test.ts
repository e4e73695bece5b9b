/**
 * Floods, and clients that are slow on purpose (CVE-2019-9511 to 9518, CVE-2023-44487,
 * CVE-2023-45288, slowloris): each reaches a limit, and other clients are not affected. The limits are
 * small here, so that they are reached soon; the attacker uses 127.0.0.2, all others 127.0.0.1.
 */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { setTimeout as sleep } from 'node:timers/promises'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { startApiServer, type ApiResponse, type ApiServer } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import {
  data,
  ERROR,
  FLAG,
  frame,
  headerBlock,
  headers,
  ping,
  reset,
  SETTING,
  settings,
  TYPE,
  windowUpdate,
  type Fields,
  type Http2Connection,
} from '../support/http2-frames.ts'
import { readResponse, readResponses, type RawConnection } from '../support/raw.ts'

const ATTACKER = { localAddress: '127.0.0.2' }
const WATCH = '/api/v1/namespaces/d/configmaps?watch=true'
const PATH = '/api/v1/namespaces/d/configmaps'
const MAX_STREAMS = 20
const MAX_PER_ADDRESS = 8

let api: ApiServer
let attack: Attack
let bearer: string

beforeAll(async () => {
  api = await startApiServer()
  attack = await startAttack({
    api,
    configuration: {
      listener: {
        http2: { maxConcurrentStreams: MAX_STREAMS },
        limits: {
          maxHeaderBytes: 8_192,
          maxHeaders: 40,
          headerTimeout: '700ms',
          idleTimeout: '700ms',
          handshakeTimeout: '700ms',
          maxConnectionsPerAddress: MAX_PER_ADDRESS,
        },
      },
    },
  })
  bearer = await attack.bearer()
})

afterAll(async () => {
  await attack.expectNoSecretLeaked()
  await attack.close()
  await api.close()
})

/** A client with a watch over each HTTP version that was open before the attack. */
interface Bystander {
  /** Whether both watches get an event, and new requests over both versions get a response. */
  isServed(): Promise<boolean>
  leave(): void
}

async function startBystander(): Promise<Bystander> {
  const watches: ApiResponse[] = []
  api.handler = (request, response) => {
    if (request.url === WATCH) {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('{"type":"BOOKMARK"}\n')
      watches.push(response)
    } else {
      response.writeHead(200, {})
      response.end('{}')
    }
  }
  const http1 = await attack.connect()
  http1.write(`GET ${WATCH} HTTP/1.1\r\nHost: gatehouse\r\n${bearer}\r\n`)
  await waitFor(http1, 'BOOKMARK')
  const http2 = await attack.connectHttp2()
  http2.send(headers(1, await attack.fields(WATCH)))
  await http2.until((frames) => frames.some(({ type }) => type === TYPE.DATA))
  let events = 0
  return {
    async isServed() {
      const event = `{"type":"ADDED","n":${++events}}`
      for (const watch of watches) watch.write(`${event}\n`)
      await waitFor(http1, event)
      await http2.until((frames) => frames.some(({ payload }) => payload.includes(event)))
      const connection = await attack.connect()
      connection.write(`GET /version HTTP/1.1\r\nHost: gatehouse\r\n${bearer}\r\n`)
      const { status } = await readResponse(connection)
      connection.destroy()
      const session = await attack.connectHttp2()
      session.send(headers(1, await attack.fields('/version')))
      const response = await session.response(1)
      session.raw.destroy()
      return status === 200 && response.status === 200
    },
    leave() {
      http1.destroy()
      http2.raw.destroy()
    },
  }
}

function waitFor(connection: RawConnection, text: string): Promise<boolean> {
  return connection.read((received) => {
    const at = received.indexOf(text)
    return at === -1 ? undefined : { value: true, bytes: at + text.length }
  })
}

let bystander: Bystander

beforeEach(async () => {
  bystander = await startBystander()
})

afterEach(async () => {
  const served = await bystander.isServed()
  bystander.leave()
  // The next test counts audit events: these streams' last ones must not be among them.
  await attack.settled()
  if (!served) throw new Error('others were not served')
})

/** Writes pieces slowly, one after the other, until the server closes. */
async function drip(connection: RawConnection, pieces: Iterable<string | Buffer>): Promise<void> {
  for (const piece of pieces) {
    if (connection.ended) return
    connection.write(piece)
    await sleep(20)
  }
}

/** Resolves when the server has closed. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.on('error', () => undefined)
    socket.once('close', () => resolve())
    socket.resume()
  })
}

describe('slow clients', () => {
  test('a header that arrives byte by byte is refused with 408, despite its activity', async () => {
    const { value, received, events } = await attack.watching(async () => {
      const connection = await attack.connect(ATTACKER)
      await drip(connection, `GET ${PATH} HTTP/1.1\r\nHost: gatehouse\r\nX-A: ${'a'.repeat(5_000)}`)
      return readResponses(connection)
    })
    expect(value).toMatchObject([{ status: 408, whole: true }])
    expect(received).toEqual([])
    expect(events).toMatchObject([{ responseStatus: { code: 408 } }])
  })

  test('the second header on a connection is refused in the same way', async () => {
    const connection = await attack.connect(ATTACKER)
    connection.write(`GET /version HTTP/1.1\r\nHost: gatehouse\r\n${bearer}\r\n`)
    expect((await readResponse(connection)).status).toBe(200)
    await drip(connection, `GET ${PATH} HTTP/1.1\r\nHost: gatehouse\r\nX-A: ${'a'.repeat(5_000)}`)
    expect(await readResponses(connection)).toMatchObject([{ status: 408 }])
  })

  test('a connection that never sends anything is closed', async () => {
    const connection = await attack.connect(ATTACKER)
    await connection.rest()
    expect(connection.ended).toBe(true)
  })

  test.for<readonly [what: string, bytes: Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['half a ClientHello', Buffer.from('16030100ff010000fb0303', 'hex')],
    ['a record of unknown type', Buffer.from('ff030100ff', 'hex')],
    ['HTTP without TLS', Buffer.from('GET / HTTP/1.1\r\nHost: gatehouse\r\n\r\n')],
  ])('a handshake that never ends (%s) is aborted', async ([, bytes]) => {
    const socket = connectTcp({ port: attack.gatehouse.port, host: '127.0.0.1', ...ATTACKER })
    socket.write(bytes)
    await closed(socket)
    expect(socket.destroyed).toBe(true)
  })

  test('a handshake that arrives byte by byte is aborted', async () => {
    const socket = connectTcp({ port: attack.gatehouse.port, host: '127.0.0.1', ...ATTACKER })
    const over = closed(socket)
    const hello = Buffer.concat([Buffer.from('16030100ff010000fb0303', 'hex'), Buffer.alloc(200)])
    for (const byte of hello) {
      if (!socket.writable) break
      socket.write(Buffer.from([byte]))
      await sleep(20)
    }
    await over
    expect(socket.destroyed).toBe(true)
  })

  test('a connection that is idle after a request is closed', async () => {
    const connection = await attack.connect(ATTACKER)
    connection.write(`GET /version HTTP/1.1\r\nHost: gatehouse\r\n${bearer}\r\n`)
    expect((await readResponse(connection)).status).toBe(200)
    expect((await connection.rest()).length).toBe(0)
  })

  test('an idle connection that only sends empty lines is closed', async () => {
    const connection = await attack.connect(ATTACKER)
    connection.write(`GET /version HTTP/1.1\r\nHost: gatehouse\r\n${bearer}\r\n`)
    expect((await readResponse(connection)).status).toBe(200)
    await drip(
      connection,
      Array.from({ length: 1_000 }, () => '\r\n'),
    )
    expect(connection.ended).toBe(true)
  })

  test('an HTTP/2 session without a request is closed, even if it sends PING', async () => {
    const connection = await attack.connectHttp2(ATTACKER)
    const end = connection.end()
    await drip(
      connection.raw,
      Array.from({ length: 100 }, () => ping()),
    )
    await end
    expect(connection.raw.ended).toBe(true)
  })

  test('an HTTP/2 session that is idle after a request is closed', async () => {
    const connection = await attack.connectHttp2(ATTACKER)
    connection.send(headers(1, await attack.fields('/version')))
    expect((await connection.response(1)).status).toBe(200)
    expect(await connection.end()).toBe(ERROR.NO_ERROR)
  })

  test('an HTTP/2 session that is idle after a long watch is closed as well', async () => {
    const watch = Promise.withResolvers<ApiResponse>()
    const { handler } = api
    api.handler = (request, response, received) => {
      if (request.url?.includes('resourceVersion') !== true) handler?.(request, response, received)
      else {
        response.writeHead(200, {})
        response.write('\n')
        watch.resolve(response)
      }
    }
    const connection = await attack.connectHttp2(ATTACKER)
    connection.send(headers(1, await attack.fields(`${WATCH}&resourceVersion=1`)))
    // The watch is silent for longer than the idle timeout.
    const response = await watch.promise
    await sleep(1_500)
    response.end()
    expect(await connection.response(1)).toMatchObject({ status: 200, whole: true })
    expect(await connection.end()).toBe(ERROR.NO_ERROR)
  })

  test('header blocks that never end close the session', async () => {
    const connection = await attack.connectHttp2(ATTACKER)
    const end = connection.end()
    connection.send(headers(1, await attack.fields('/version'), FLAG.END_STREAM))
    await end
    expect(connection.raw.ended).toBe(true)
  })
})

describe('headers that are too large', () => {
  const get = (fields: string): string =>
    `GET ${PATH} HTTP/1.1\r\nHost: gatehouse\r\n${bearer}${fields}\r\n`

  test.for<readonly [what: string, fields: string]>([
    ['one field of 10 kB', `X-A: ${'a'.repeat(10_000)}\r\n`],
    ['one name of 10 kB', `${'a'.repeat(10_000)}: b\r\n`],
    ['10 kB of small fields', `X-A: b\r\n`.repeat(1_250)],
    ['41 fields', 'X-A: b\r\n'.repeat(39)],
    ['a length after 40 other fields', `${'X-A: b\r\n'.repeat(40)}Content-Length: 5\r\n`],
  ])('get 431 for %s, and the connection is closed', async ([, fields]) => {
    const { value, received, events } = await attack.watching(() => attack.send(get(fields)))
    expect(value).toMatchObject({ response: { status: 431 }, closed: true })
    expect(received).toEqual([])
    expect(events).toMatchObject([{ responseStatus: { code: 431 } }])
  })

  test('do not include a header of 40 fields', async () => {
    expect((await attack.send(get('X-A: b\r\n'.repeat(38)))).response.status).toBe(200)
  })

  test.for<readonly [what: string, fields: Fields]>([
    ['one field of 10 kB', [['x-a', 'a'.repeat(10_000)]]],
    ['10 kB of small fields', Array.from({ length: 200 }, (_, i) => [`x-${i}`, 'a'.repeat(40)])],
    ['100 fields', Array.from({ length: 100 }, () => ['x', ''] as const)],
  ])('over HTTP/2 get 431 for %s from a client that knows the settings', async ([, fields]) => {
    const { value, received, events } = await attack.watching(async () => {
      const connection = await attack.connectHttp2(ATTACKER)
      await connection.until((frames) => frames.some(({ type }) => type === TYPE.SETTINGS))
      connection.send(headers(1, await attack.fields(PATH, fields)))
      const response = await connection.response(1)
      connection.raw.destroy()
      return response
    })
    expect(value).toMatchObject({ status: 431, whole: true })
    expect(received).toEqual([])
    expect(events).toMatchObject([{ responseStatus: { code: 431 } }])
  })
})

describe('HTTP/2 floods', () => {
  const http2 = (): Promise<Http2Connection> => attack.connectHttp2(ATTACKER)

  /** Sends pieces until the session has ended or none is left. @returns the code of GOAWAY */
  async function flood(
    connection: Http2Connection,
    pieces: number,
    piece: (i: number) => Buffer,
  ): Promise<number | undefined> {
    const end = connection.end()
    for (let i = 0; i < pieces && !connection.raw.ended; i++) {
      connection.send(piece(i))
      if (i % 20 === 0) await sleep(1)
    }
    connection.raw.socket.end()
    return end
  }

  test('rapid reset ends the session long before the attacker is done', async () => {
    const fields = await attack.fields(PATH)
    const { value, received } = await attack.watching(async () =>
      flood(await http2(), 5_000, (i) =>
        Buffer.concat([headers(2 * i + 1, fields), reset(2 * i + 1)]),
      ),
    )
    expect(value).not.toBe(ERROR.NO_ERROR)
    expect(received.length).toBeLessThan(2_000)
  })

  test('malformed requests, which the server resets, end the session', async () => {
    const fields = await attack.fields(PATH, [['connection', 'close']])
    const { received } = await attack.watching(async () =>
      flood(await http2(), 5_000, (i) => headers(2 * i + 1, fields)),
    )
    expect(received).toEqual([])
  })

  test('CONTINUATION frames without an end close the session', async () => {
    const { value, received } = await attack.watching(async () => {
      const connection = await http2()
      connection.send(headers(1, await attack.fields(PATH), FLAG.END_STREAM))
      return flood(connection, 5_000, (i) =>
        frame(TYPE.CONTINUATION, 0, 1, headerBlock([[`x-${i}`, 'a'.repeat(1_000)]])),
      )
    })
    expect(value).not.toBe(ERROR.NO_ERROR)
    expect(received).toEqual([])
  })

  test('empty CONTINUATION frames without an end close the session', async () => {
    const { value, received } = await attack.watching(async () => {
      const connection = await http2()
      connection.send(headers(1, await attack.fields(PATH), FLAG.END_STREAM))
      return flood(connection, 5_000, () => frame(TYPE.CONTINUATION, 0, 1))
    })
    expect(value).not.toBe(ERROR.NO_ERROR)
    expect(received).toEqual([])
  })

  test('fields without a name and a value are dropped, whatever their number', async () => {
    const { received } = await attack.watching(async () => {
      const connection = await http2()
      const empty: Fields = Array.from({ length: 4_000 }, () => ['', ''] as const)
      connection.send(headers(1, await attack.fields(PATH, empty)))
      const response = await connection.response(1)
      connection.raw.destroy()
      return response
    })
    const names = received.flatMap(({ headers: fields }) => fields.map(([name]) => name))
    expect(names).not.toContain('')
  })

  const UNREAD_FRAMES: readonly (readonly [what: string, piece: (i: number) => Buffer])[] = [
    ['PING', () => ping()],
    ['SETTINGS', () => settings()],
    [
      'SETTINGS of 100 entries',
      () => settings(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [100 + i, i]))),
    ],
    [
      'unsolicited PING and SETTINGS acknowledgements',
      () =>
        Buffer.concat([
          frame(TYPE.PING, FLAG.ACK, 0, 'pingping'),
          frame(TYPE.SETTINGS, FLAG.ACK, 0),
        ]),
    ],
    ['PRIORITY', (i) => frame(TYPE.PRIORITY, 0, 2 * i + 1, Buffer.from('0000000010', 'hex'))],
    ['WINDOW_UPDATE', () => windowUpdate(0, 1)],
    ['an unknown type', () => frame(0xee, 0xff, 0, 'a'.repeat(1_000))],
    [
      'PUSH_PROMISE',
      (i) =>
        frame(
          TYPE.PUSH_PROMISE,
          FLAG.END_HEADERS,
          1,
          `\0\0\0${String.fromCharCode(2 * (i % 100) + 2)}`,
        ),
    ],
    ['DATA without a stream', (i) => data(2 * i + 1, 'a'.repeat(100))],
    ['RST_STREAM without a stream', (i) => reset(2 * i + 1)],
  ]

  test.for(UNREAD_FRAMES)(
    '5,000 frames of %s from a client that reads nothing do not affect others',
    async ([, piece]) => {
      const connection = await attack.connectHttp2({ ...ATTACKER, silent: true })
      connection.raw.socket.pause()
      const served: boolean[] = []
      for (let i = 0; i < 5_000 && connection.raw.socket.writable; i++) {
        connection.send(piece(i))
        if (i % 500 === 0) served.push(await bystander.isServed())
        if (i % 50 === 0) await sleep(1)
      }
      connection.raw.destroy()
      expect(new Set(served)).toEqual(new Set([true]))
    },
  )

  test('5,000 empty DATA frames are not a body', async () => {
    const { received } = await attack.watching(async () => {
      const connection = await http2()
      const fields = (await attack.fields(PATH)).map(
        ([name, value]) => [name, name === ':method' ? 'POST' : value] as const,
      )
      connection.send(headers(1, fields, FLAG.END_HEADERS))
      await flood(connection, 5_000, () => data(1, ''))
    })
    expect(received.filter(({ complete }) => complete)).toEqual([])
  })

  test('concurrent streams beyond the limit are refused', async () => {
    const open: ApiResponse[] = []
    const { handler } = api
    api.handler = (request, response, received) => {
      if (request.url?.includes('resourceVersion') === true) open.push(response)
      else handler?.(request, response, received)
    }
    const fields = await attack.fields(`${WATCH}&resourceVersion=1`)
    const { received } = await attack.watching(async () => {
      const connection = await http2()
      // The limit applies to clients that have acknowledged it.
      await connection.until((frames) => frames.some(({ type }) => type === TYPE.SETTINGS))
      connection.send(...Array.from({ length: 100 }, (_, i) => headers(2 * i + 1, fields)))
      expect(await connection.response(199)).toMatchObject({ status: undefined, whole: false })
      connection.raw.destroy()
    })
    expect(received).toHaveLength(MAX_STREAMS)
  })
})

describe('a client that requests large responses and reads nothing', () => {
  const MEGABYTES = 64

  /** Responds with 64 MB as fast as they are read, and counts the bytes. */
  function bigAnswer(): { taken: () => number; gone: Promise<void> } {
    const chunk = Buffer.alloc(65_536, 'x')
    const gone = Promise.withResolvers<undefined>()
    let taken = 0
    const { handler } = api
    api.handler = (request, response, received) => {
      if (request.url?.endsWith('/big') !== true) {
        handler?.(request, response, received)
        return
      }
      response.writeHead(200, { 'content-length': String(MEGABYTES * 1_048_576) })
      response.once('close', () => gone.resolve(undefined))
      const pump = (): void => {
        while (taken < MEGABYTES * 1_048_576) {
          taken += chunk.length
          if (!response.write(chunk)) {
            response.once('drain', pump)
            return
          }
        }
        response.end()
      }
      pump()
    }
    return { taken: () => taken, gone: gone.promise.then(() => undefined) }
  }

  async function settledAt(taken: () => number): Promise<number> {
    let before = -1
    while (taken() === 0 || taken() !== before) {
      before = taken()
      expect(await bystander.isServed()).toBe(true)
      await sleep(100)
    }
    return before
  }

  test.for<readonly [what: string, path: string]>([
    ['a short request', '/big'],
    ['a stream', '/api/v1/namespaces/d/pods/p/log?follow=true&container=/big'],
  ])('makes the API server wait over HTTP/1.1, for %s', async ([, path]) => {
    const { taken, gone } = bigAnswer()
    const connection = await attack.connect(ATTACKER)
    connection.socket.pause()
    connection.write(`GET ${path} HTTP/1.1\r\nHost: gatehouse\r\n${bearer}\r\n`)
    expect(await settledAt(taken)).toBeLessThan((MEGABYTES / 2) * 1_048_576)
    connection.destroy()
    await gone
  })

  test.for<readonly [what: string, path: string, more: Readonly<Record<number, number>>]>([
    ['a short request, window closed', '/big', { [SETTING.INITIAL_WINDOW_SIZE]: 0 }],
    ['a short request, window of one byte', '/big', { [SETTING.INITIAL_WINDOW_SIZE]: 1 }],
    [
      'a stream, window closed',
      '/api/v1/namespaces/d/pods/p/log?follow=true&container=/big',
      { [SETTING.INITIAL_WINDOW_SIZE]: 0 },
    ],
    [
      'a short request, window open, nothing read',
      '/big',
      { [SETTING.INITIAL_WINDOW_SIZE]: 2 ** 31 - 1 },
    ],
  ])('makes the API server wait over HTTP/2, for %s', async ([, path, own]) => {
    const { taken, gone } = bigAnswer()
    const connection = await attack.connectHttp2({ ...ATTACKER, settings: own })
    connection.send(windowUpdate(0, 2 ** 31 - 1 - 65_535), headers(1, await attack.fields(path)))
    if (own[SETTING.INITIAL_WINDOW_SIZE] === 2 ** 31 - 1) connection.raw.socket.pause()
    expect(await settledAt(taken)).toBeLessThan((MEGABYTES / 2) * 1_048_576)
    connection.raw.destroy()
    await gone
  })
})

describe('many connections', () => {
  const getsIn = async (): Promise<boolean> => {
    try {
      const connection = await attack.connect(ATTACKER)
      connection.destroy()
      return true
    } catch {
      return false
    }
  }

  test('beyond the limit of one address are closed before TLS; other addresses can still connect', async () => {
    const sockets = Array.from({ length: MAX_PER_ADDRESS + 5 }, () =>
      connectTcp({ port: attack.gatehouse.port, host: '127.0.0.1', ...ATTACKER }),
    )
    await Promise.all(sockets.slice(MAX_PER_ADDRESS).map(closed))
    expect(sockets.slice(0, MAX_PER_ADDRESS).map(({ destroyed }) => destroyed)).not.toContain(true)
    expect(await bystander.isServed()).toBe(true)
    for (const socket of sockets) socket.destroy()
    await expect.poll(getsIn).toBe(true)
  })

  test('queue a few pipelined requests, and are closed after hundreds of them', async () => {
    const { received } = await attack.watching(async () => {
      const connection = await attack.connect(ATTACKER)
      connection.write(`GET /version HTTP/1.1\r\nHost: gatehouse\r\n${bearer}\r\n`.repeat(500))
      await connection.rest()
    })
    expect(received.length).toBeLessThan(50)
  })

  test('of TLS 1.2 cannot renegotiate', async () => {
    const socket = connectTls({
      port: attack.gatehouse.port,
      host: '127.0.0.1',
      ca: attack.gatehouse.ca,
      maxVersion: 'TLSv1.2',
      ...ATTACKER,
    })
    const over = closed(socket)
    await new Promise<void>((resolve) => socket.once('secureConnect', () => resolve()))
    let again = 0
    const renegotiate = (): void => {
      if (again >= 20 || socket.destroyed) return
      socket.renegotiate({}, (error) => {
        if (error !== null) return
        again += 1
        renegotiate()
      })
    }
    renegotiate()
    await over
    expect(again).toBeLessThan(5)
  })
})
