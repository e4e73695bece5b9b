/**
 * Many requests over few connections to an API server that misbehaves in every way it can, for clients
 * that pause, abort and keep what they are lent. No client may ever see a byte that is not its own.
 */
import { deepStrictEqual } from 'node:assert'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'

import { startRawApiServer, type RawExchange } from '../support/raw-api-server.ts'
import { createPoolClient, type PoolClient } from '../upstream/http1/transport-client.ts'
import { createRandom, type Random } from './random.ts'

const REQUESTS = 1_500
const CLIENTS = 24
const WAYS = [
  ...['valid', 'valid', 'valid', 'valid', 'extra', 'forged', 'damaged'],
  ...['cut', 'reset', 'close', 'silent'],
] as const
type Way = (typeof WAYS)[number]

/** Returns the number of requests; rejects when a client got a byte of another one, or none at all. */
export async function fuzzPool(seed: number): Promise<number> {
  const random = createRandom(seed)
  const api = await startRawApiServer()
  const client = createPoolClient(api, { maxConnections: 4, responseHeaderTimeout: 60_000 })
  const ways = new Map<string, Way>()
  api.script = (exchange) => {
    api.received.length = 0
    const way = wayFor(exchange.request.url, random)
    ways.set(exchange.request.url, way)
    void respond(exchange, way, random)
  }
  try {
    let next = 0
    const work = async (): Promise<void> => {
      while (next < REQUESTS) {
        next += 1
        const size = random.below(random.pick([100, 8_000, 150_000]))
        await ask(client, `/${next}-${size}`, ways, random)
      }
    }
    await Promise.all(Array.from({ length: CLIENTS }, work))
    return REQUESTS
  } finally {
    await client.transport.destroy()
    await api.close()
  }
}

/**
 * Only a small response is followed by another one: the rest of a large one may wait in buffers, and
 * what comes after the next request was sent is told from its response by the Audit-ID alone.
 */
function wayFor(url: string, random: Random): Way {
  const way = random.pick(WAYS)
  return sizeOf(url) > 8_000 && (way === 'extra' || way === 'forged') ? 'valid' : way
}

const sizeOf = (url: string): number => Number(url.split('-')[1])

/** Lines that name the request, so that no part of it can belong to another one. */
function bodyOf(url: string): Buffer {
  const size = sizeOf(url)
  const line = `${url}\n`
  return Buffer.from(line.repeat(Math.ceil(size / line.length)).slice(0, size))
}

async function respond(exchange: RawExchange, way: Way, random: Random): Promise<void> {
  const { request, socket, reset } = exchange
  const body = bodyOf(request.url)
  const bytes = random.below(2) === 0 ? withLength(body) : chunked(body, random)
  if (way === 'silent') await sleep(random.below(50))
  if (way === 'close' || way === 'silent') {
    socket.destroy()
    return
  }
  const forged = withLength(Buffer.from('forged'.repeat(1 + random.below(1_000))))
  if (way === 'forged') {
    exchange.write(Buffer.concat([aRecord(body), forged]))
    return
  }
  if (way === 'damaged') damage(bytes, random)
  const isCut = way === 'cut' || way === 'reset'
  const sent = bytes.subarray(0, isCut ? random.below(bytes.length) : bytes.length)
  const rest = await writePieces(exchange, sent, random)
  // What follows a response goes out with its last bytes: later, nothing tells it from the next response.
  exchange.write(way === 'extra' ? Buffer.concat([rest, forged]) : rest)
  if (way === 'cut') socket.end()
  if (way === 'reset') reset()
}

function withLength(body: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`),
    body,
  ])
}

/** A response that fills a TLS record: what is written with it arrives with it, but is read later. */
function aRecord(body: Buffer): Buffer {
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nX-A: `
  const padding = 'a'.repeat(16_384 - head.length - 4 - body.length)
  return Buffer.concat([Buffer.from(`${head}${padding}\r\n\r\n`), body])
}

function chunked(body: Buffer, random: Random): Buffer {
  const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
  const parts: Uint8Array[] = [Buffer.from(head)]
  for (let at = 0; at < body.length;) {
    const piece = body.subarray(at, at + 1 + random.below(40_000))
    parts.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'))
    at += piece.length
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')])
}

/** Changes a few bytes, mostly of the head. */
function damage(bytes: Buffer, random: Random): void {
  for (let i = 0; i < 3; i++) {
    const at = random.below(random.below(3) === 0 ? bytes.length : Math.min(90, bytes.length))
    bytes[at] = random.pick([0x0d, 0x0a, 0x20, 0x30, 0x31, 0x3a, 0x00, random.below(256)])
  }
}

/** Writes all but the last piece, which it returns. */
async function writePieces(exchange: RawExchange, bytes: Buffer, random: Random): Promise<Buffer> {
  const pieces = random.below(5)
  let at = 0
  for (let i = 0; i < pieces; i++) {
    const to = Math.min(bytes.length, at + random.below(30_000))
    if (to === bytes.length) break
    exchange.write(bytes.subarray(at, to))
    at = to
    if (random.below(2) === 0) await nextTurn()
    else await sleep(random.below(3))
  }
  return bytes.subarray(at)
}

async function ask(
  client: PoolClient,
  url: string,
  ways: ReadonlyMap<string, Way>,
  random: Random,
): Promise<void> {
  const expected = bodyOf(url)
  const got: Buffer[] = []
  const abortsAt = random.below(6) === 0 ? random.below(expected.length + 1) : Infinity
  const response = client.send(url, {
    isLongRunning: random.below(4) === 0,
    onPiece(bytes, giveBack) {
      const copy = Buffer.from(bytes)
      got.push(copy)
      if (response.bytes >= abortsAt) response.control?.abort(new Error('aborted'))
      if (random.below(4) === 0) {
        response.control?.pause()
        setTimeout(() => response.control?.resume(), random.below(5))
      }
      // Kept for a while, as a write does, and unchanged until then.
      setTimeout(() => {
        deepStrictEqual(bytes.equals(copy), true, `the bytes lent to ${url} have changed`)
        giveBack?.()
      }, random.below(20))
    },
  })
  // A damaged response may never end, and a stream has no timeout.
  const timer = setInterval(() => {
    if (ways.get(url) === 'damaged') response.control?.abort(new Error('aborted'))
  }, 2_000)
  const last = await response.done
  clearInterval(timer)
  check({ url, way: ways.get(url), error: response.error, status: response.status }, expected, [
    ...got,
    Buffer.from(last, 'latin1'),
  ])
}

interface Outcome {
  readonly url: string
  readonly way: Way | undefined
  readonly error: Error | undefined
  readonly status: number
}

function check(outcome: Outcome, expected: Buffer, got: readonly Buffer[]): void {
  const { url, way, error } = outcome
  const body = Buffer.concat(got)
  const text = `${url} (${way}, ${error?.message})`
  if (way !== 'damaged') {
    deepStrictEqual(
      body.equals(expected.subarray(0, body.length)),
      true,
      `other bytes in ${text}: ${body.toString('latin1', 0, 80)}`,
    )
  }
  const names = new Set(body.toString('latin1').match(/\/[0-9]+-[0-9]+\n/g))
  names.delete(`${url}\n`)
  deepStrictEqual(way === 'damaged' ? [...names].filter(isOfAnother(url)) : [...names], [], text)
  deepStrictEqual(body.includes('forged'), false, `a forged response in ${text}`)
  if (error === undefined && way !== 'damaged') {
    deepStrictEqual(body.length, expected.length, `an incomplete response for ${text}`)
  }
  const isWhole = way === 'valid' || way === 'extra' || way === 'forged'
  if (error !== undefined && isWhole && error.message !== 'aborted') {
    throw new Error(`a valid response failed: ${text}`, { cause: error })
  }
}

/** Damage may change a digit of the name. */
function isOfAnother(url: string): (name: string) => boolean {
  return (name) => {
    const own = `${url}\n`
    if (name.length !== own.length) return false
    let differences = 0
    for (let i = 0; i < own.length; i++) if (own[i] !== name[i]) differences += 1
    return differences > 3
  }
}
