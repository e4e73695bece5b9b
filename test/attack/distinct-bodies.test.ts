/**
 * Many clients at once, each with a body of its own that nobody else may see any byte of: read as fast as
 * possible, slowly, only in part, or after the client has ended its own side. Gatehouse uses the memory
 * of one response again for the next one.
 */
import { createHash } from 'node:crypto'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import {
  FLAG,
  frame,
  headers,
  reset,
  settings,
  SETTING,
  TYPE,
  windowUpdate,
} from '../support/http2-frames.ts'

let api: ApiServer
let attack: Attack

beforeAll(async () => {
  api = await startApiServer()
  attack = await startAttack({
    api,
    configuration: { upstream: { connections: { maxConnections: 8 } } },
  })
  api.handler = (request, response) => {
    request.resume()
    const body = bodyOf(request.url ?? '')
    const isChunked = request.url?.includes('chunked') === true
    response.writeHead(200, {
      'content-type': 'application/json',
      ...(isChunked ? {} : { 'content-length': String(body.length) }),
    })
    if (!isChunked) {
      response.end(body)
      return
    }
    // Pieces that fill neither a record nor a slab.
    for (let at = 0; at < body.length; at += 7_919) response.write(body.subarray(at, at + 7_919))
    response.end()
  }
})

afterAll(async () => {
  await attack.settled()
  await attack.expectNoSecretLeaked()
  await attack.close()
  await api.close()
})

/** A body that no other path has a part of: lines of the path and their number. */
function bodyOf(path: string): Buffer {
  const size = Number(/size=(\d+)/.exec(path)?.[1] ?? 0)
  const seed = createHash('sha256').update(path).digest('hex').slice(0, 24)
  let text = ''
  for (let i = 0; text.length < size; i++) text += `${seed}:${i}\n`
  return Buffer.from(text.slice(0, size))
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** Whatever has arrived is how the body begins. */
function expectBeginningOf(path: string, received: Buffer): void {
  const expected = bodyOf(path).subarray(0, received.length)
  expect([path, received.length, sha256(received)]).toEqual([
    path,
    expected.length,
    sha256(expected),
  ])
}

const SIZES = [0, 1, 2_048, 16_384, 40_000, 131_072, 300_000, 1_500_000]
const KINDS = ['length', 'chunked']
const READERS = ['fast', 'slow', 'aborting', 'half-closing'] as const
type Reader = (typeof READERS)[number]

const pathOf = (round: string, size: number, kind: string): string =>
  `/api/v1/namespaces/${round}-${kind}/configmaps?size=${size}`

/** Dechunks what Gatehouse sends over HTTP/1.1; takes what there is of the last chunk. */
function bodyIn(bytes: Buffer): { body: Buffer; isWhole: boolean } {
  const headEnd = bytes.indexOf('\r\n\r\n') + 4
  if (headEnd === 3) return { body: Buffer.alloc(0), isWhole: false }
  const head = bytes.toString('latin1', 0, headEnd)
  expect(head).toMatch(/^HTTP\/1\.1 200 /)
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1]
  if (length !== undefined) {
    const body = bytes.subarray(headEnd)
    return { body, isWhole: body.length === Number(length) }
  }
  const parts: Buffer[] = []
  for (let at = headEnd; ;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd === -1) return { body: Buffer.concat(parts), isWhole: false }
    const size = parseInt(bytes.toString('latin1', at, lineEnd), 16)
    if (size === 0) return { body: Buffer.concat(parts), isWhole: true }
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size))
    at = lineEnd + 2 + size + 2
  }
}

async function readHttp1(path: string, reader: Reader): Promise<void> {
  const connection = await attack.connect()
  const { socket } = connection
  connection.write(`GET ${path} HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}\r\n`)
  if (reader === 'slow') {
    socket.pause()
    const timer = setInterval(() => void socket.read(3_000), 1)
    // Long enough for every buffer on the way to fill.
    setTimeout(() => {
      clearInterval(timer)
      socket.resume()
    }, 150)
  }
  if (reader === 'half-closing') socket.end()
  const isOver = (bytes: Buffer, ended: boolean): boolean =>
    ended || bodyIn(bytes).isWhole || (reader === 'aborting' && bytes.length > 20_000)
  const bytes = await connection.read((received, ended) =>
    received.includes('\r\n\r\n') && isOver(received, ended)
      ? { value: received, bytes: 0 }
      : ended
        ? { value: received, bytes: 0 }
        : undefined,
  )
  connection.reset()
  const { body, isWhole } = bodyIn(bytes)
  expectBeginningOf(path, body)
  if (reader === 'fast' || reader === 'slow') expect([path, isWhole]).toEqual([path, true])
}

/** Several streams on one connection, whose bodies arrive between each other. */
async function readHttp2(paths: readonly string[], reader: Reader): Promise<void> {
  const connection = await attack.connectHttp2()
  if (reader !== 'slow') {
    connection.send(
      settings({ [SETTING.INITIAL_WINDOW_SIZE]: 4_194_304 }),
      windowUpdate(0, 1 << 30),
    )
  }
  const streams = new Map(paths.map((path, i) => [i * 2 + 1, path]))
  for (const [stream, path] of streams) connection.send(headers(stream, await attack.fields(path)))
  const received = (stream: number): Buffer =>
    Buffer.concat(
      connection.frames
        .filter((each) => each.type === TYPE.DATA && each.stream === stream)
        .map(({ payload }) => payload),
    )
  const isOver = (stream: number): boolean =>
    connection.frames.some(
      (each) =>
        each.stream === stream &&
        (each.type === TYPE.RST_STREAM || (each.flags & FLAG.END_STREAM) !== 0),
    )
  let granted = 0
  await connection.until(() => {
    if (reader === 'slow' && granted < 4_000) {
      // In turn, and never as much as a record.
      granted += 1
      connection.send(
        windowUpdate(0, 9_000),
        ...[...streams.keys()].map((id) => windowUpdate(id, 9_000)),
      )
      connection.send(frame(TYPE.PING, 0, 0, 'pingping'))
    }
    if (reader !== 'aborting' && reader !== 'half-closing') return [...streams.keys()].every(isOver)
    return [...streams.keys()].every((id) => isOver(id) || received(id).length > 20_000)
  })
  if (reader === 'aborting') for (const id of streams.keys()) connection.send(reset(id))
  if (reader === 'half-closing') connection.raw.socket.end()
  for (const [stream, path] of streams) {
    const body = received(stream)
    expectBeginningOf(path, body)
    if (reader === 'fast' || reader === 'slow') {
      expect([path, body.length]).toEqual([path, bodyOf(path).length])
    }
  }
  connection.raw.destroy()
}

describe('each client gets its own bytes and nobody else’s', () => {
  test('over HTTP/1.1 and HTTP/2, while others read slowly, abort and half-close', async () => {
    const rounds = Array.from({ length: 3 }, (_, round) =>
      READERS.flatMap((reader) => {
        const paths = SIZES.flatMap((size) =>
          KINDS.map((kind) => pathOf(`r${round}-${reader}`, size, kind)),
        )
        return [
          ...paths.map((path) => () => readHttp1(path, reader)),
          () =>
            readHttp2(
              paths.filter((path) => !path.includes('1500000')),
              reader,
            ),
        ]
      }),
    )
    for (const round of rounds) await Promise.all(round.map((read) => read()))
    expect(api.connections.total).toBeGreaterThan(0)
  })
})

test('a client that does not read many streams still gets the response to the next one', async () => {
  const roomy = await startAttack({ api })
  const connection = await roomy.connectHttp2()
  // The streams have the window of 64 KB, the connection as much as there is.
  connection.send(windowUpdate(0, 1 << 30))
  const unread = Array.from({ length: 60 }, (_, i) => i * 2 + 1)
  for (const stream of unread) {
    const path = pathOf(`unread-${stream}`, 1_500_000, 'chunked')
    connection.send(headers(stream, await roomy.fields(path)))
  }
  await connection.until((frames) =>
    unread.every((id) => frames.some(({ type, stream }) => type === TYPE.DATA && stream === id)),
  )
  const path = pathOf('next', 40_000, 'length')
  connection.send(headers(201, await roomy.fields(path)))
  const { status, body, whole } = await connection.response(201)
  expect({ status, whole }).toEqual({ status: 200, whole: true })
  expectBeginningOf(path, Buffer.from(body, 'latin1'))
  connection.raw.destroy()
  await roomy.settled()
  await roomy.close()
})

test('two slow readers leave connections on which the next requests are served', async () => {
  await attack.settled()
  const slow = ['a', 'b'].map((name) =>
    readHttp1(pathOf(`slow-${name}`, 1_500_000, 'length'), 'slow'),
  )
  await Promise.all(slow)
  const { total } = api.connections
  for (let i = 0; i < 8; i++) await readHttp1(pathOf(`next-${i}`, 2_048, 'length'), 'fast')
  expect(api.connections.total).toBe(total)
})
