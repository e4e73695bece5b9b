import { createServer, type AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'

import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'

import { UpstreamError } from '../../../src/upstream/errors.ts'
import type { RequestBody } from '../../../src/upstream/request-body.ts'
import { createAuthority } from '../../../certs-dev/pki.ts'
import {
  startRawApiServer,
  type RawApiServer,
  type RawExchange,
} from '../../support/raw-api-server.ts'
import { startQuickApiServer } from './quick-api-server.ts'
import { createPoolClient, type PoolClient } from './transport-client.ts'

let api: RawApiServer
let client: PoolClient

beforeEach(async () => {
  api = await startRawApiServer()
  client = createPoolClient(api)
})

afterEach(async () => {
  await client.transport.destroy()
  await api.close()
})

const ok = (body: string, fields = ''): string =>
  `HTTP/1.1 200 OK\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`

/** Responds with the path of the request and the number of its connection. */
const echo = ({ request, write }: RawExchange): void =>
  write(ok(`${request.url} ${request.connection}`))

/** The connections of the requests so far. */
const used = (): number[] => api.received.map(({ connection }) => connection)

async function ask(path: string, method = 'GET'): Promise<string> {
  const response = client.send(path, { method })
  const body = await response.done
  if (response.error !== undefined) throw response.error
  // Its connection is free at the end of this turn of the event loop.
  await setImmediate()
  return body
}

describe('a connection is used again', () => {
  test('for the next request, the one that was used last first', async () => {
    client = createPoolClient(api, { maxConnections: 3 })
    api.script = echo
    await Promise.all([ask('/a'), ask('/b'), ask('/c')])
    expect(used().toSorted()).toEqual([1, 2, 3])
    const last: number[] = []
    for (const path of ['/d', '/e', '/f']) last.push(Number((await ask(path)).slice(3)))
    expect(new Set(last).size).toBe(1)
    expect(api.connections.total).toBe(3)
  })

  test('for a request that waited, however quick the response to it is', async () => {
    const quick = await startQuickApiServer()
    onTestFinished(() => quick.close())
    const impatient = createPoolClient(quick)
    onTestFinished(() => impatient.transport.destroy())
    const responses = Array.from({ length: 5 }, (_, sent) =>
      impatient.send(`/${sent}`, {
        // Behind the write, whose callback comes after the response then. The first request is written
        // by the end of the TLS handshake.
        onStart: () => sent > 0 && queueMicrotask(() => quick.blockUntil(sent + 1)),
      }),
    )
    await Promise.all(responses.map(({ done }) => done))
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    expect(quick.connections()).toBe(1)
  })

  test.for([
    ['after a response to HEAD', 'HEAD', ok('')],
    ['after Connection: close', 'GET', ok('{}', 'Connection: Close\r\n')],
    ['after a Keep-Alive that is over', 'GET', ok('{}', 'Keep-Alive: timeout=1\r\n')],
    ['after more than the response', 'GET', `${ok('{}')}\n`],
    ['after a second response', 'GET', ok('{}') + ok('/second 1')],
  ] as const)('never %s', async ([, method, bytes]) => {
    api.script = ({ write }) => write(bytes)
    await ask('/first', method)
    api.script = echo
    expect(await ask('/second')).toBe('/second 2')
    expect(used()).toEqual([1, 2])
  })

  test('never when a second response has arrived with it, but was not read yet', async () => {
    // One write, of which the first response fills the first TLS record: Node reads them one by one.
    const fields = `X-A: ${'a'.repeat(16_384 - ok('first', 'X-A: \r\n').length)}\r\n`
    api.script = (exchange) => {
      if (exchange.request.url === '/first') exchange.write(ok('first', fields) + ok('forged'))
      else echo(exchange)
    }
    // The second waits for the connection, and would be sent as soon as it is free.
    const [first, second] = await Promise.all([ask('/first'), ask('/second')])
    expect([first, second]).toEqual(['first', '/second 2'])
  })

  test('never when the API server has responded before it has taken the whole request', async () => {
    api.script = (exchange) => {
      exchange.take()
      exchange.socket.pause()
      exchange.write(ok('early'))
    }
    const body: RequestBody = {
      waitsForClient: false,
      receive(receiver) {
        // More than the kernel takes.
        receiver.onData(Buffer.alloc(32_000_000))
        receiver.onEnd()
      },
      pause: () => undefined,
      resume: () => undefined,
      discard: () => undefined,
    }
    expect(await client.send('/first', { method: 'POST', body }).done).toBe('early')
    api.script = echo
    expect(await ask('/second')).toBe('/second 2')
  })

  test('never when the API server has sent something without a request', async () => {
    let exchange: RawExchange | undefined
    api.script = (current) => {
      exchange = current
      echo(current)
    }
    expect(await ask('/first')).toBe('/first 1')
    exchange?.write(ok('forged'))
    await expect.poll(() => api.connections.open).toBe(0)
    expect(await ask('/second')).toBe('/second 2')
  })
})

test('a connection that is unused for too long closes', async () => {
  client = createPoolClient(api, { idleTimeout: 50 })
  api.script = echo
  await ask('/a')
  await expect.poll(() => api.connections.open).toBe(0)
  expect(await ask('/b')).toBe('/b 2')
})

describe('a response', () => {
  test('that does not begin in time is a timeout, and its connection closes', async () => {
    client = createPoolClient(api, { responseHeaderTimeout: 100 })
    api.script = () => undefined
    await expect(ask('/a')).rejects.toMatchObject({ kind: 'timeout', code: 504 })
    await expect.poll(() => api.connections.open).toBe(0)
  })

  test('that stops in its body is a timeout, after what came of it', async () => {
    client = createPoolClient(api, { responseHeaderTimeout: 100 })
    api.script = ({ write }) => write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
    const response = client.send('/a')
    expect(await response.done).toBe('half')
    expect(response.error).toMatchObject({ kind: 'timeout' })
  })

  test('may take any time when the request is long-running, or its receiver has paused it', async () => {
    client = createPoolClient(api, { responseHeaderTimeout: 40, maxConnections: 3 })
    let finish: (() => void) | undefined
    api.script = ({ write, request }) => {
      if (request.url === '/stream') finish = () => write(ok('late'))
      else if (request.url === '/paused') write(ok('x'.repeat(3_000_000)))
    }
    const stream = client.send('/stream', { isLongRunning: true })
    const paused = client.send('/paused', {
      onStart: (control) => queueMicrotask(() => control.pause()),
    })
    // Longer than the others may take.
    for (let i = 0; i < 3; i++) {
      await expect(ask('/never')).rejects.toMatchObject({ kind: 'timeout' })
    }
    finish?.()
    paused.control?.resume()
    expect(await stream.done).toBe('late')
    expect((await paused.done).length).toBe(3_000_000)
    expect([stream.error, paused.error]).toEqual([undefined, undefined])
  })

  test('that ends while its receiver has paused it leaves a connection that reads the next one', async () => {
    client = createPoolClient(api, { maxConnections: 2 })
    api.script = ({ write, request }) => {
      if (request.url.startsWith('/big')) write(ok('x'.repeat(200_000)))
      else echo({ write, request } as RawExchange)
    }
    // Both receivers pause with every piece, and resume when nothing comes any more.
    const slow = ['/big1', '/big2'].map((path) => {
      const response = client.send(path, {
        onPiece(_bytes, giveBack) {
          giveBack?.()
          response.control?.pause()
          setTimeout(() => response.control?.resume(), 5)
        },
      })
      return response
    })
    for (const response of slow) await response.done
    expect(slow.map(({ error }) => error)).toEqual([undefined, undefined])
    expect(await Promise.all([ask('/a'), ask('/b')])).toEqual([
      expect.stringMatching(/^\/a [12]$/) as string,
      expect.stringMatching(/^\/b [12]$/) as string,
    ])
    expect(api.connections.total).toBe(2)
  })

  test('cannot be paused or aborted any more once it has ended', async () => {
    api.script = echo
    const first = client.send('/first')
    await first.done
    let finish: (() => void) | undefined
    api.script = (exchange) => {
      finish = () => echo(exchange)
    }
    const second = client.send('/second')
    await expect.poll(() => finish).toBeDefined()
    first.control?.pause()
    first.control?.abort(new Error('too late'))
    finish?.()
    expect(await second.done).toBe('/second 1')
    expect(second.error).toBeUndefined()
  })
})

describe('a request', () => {
  test('that its receiver has aborted while it waited is not sent', async () => {
    let finish: (() => void) | undefined
    api.script = (exchange) => {
      finish = () => echo(exchange)
    }
    const first = client.send('/first')
    await expect.poll(() => finish).toBeDefined()
    const reason = new Error('gone')
    const second = client.send('/second', { onStart: (control) => control.abort(reason) })
    const third = client.send('/third')
    api.script = echo
    finish?.()
    await Promise.all([first.done, second.done])
    expect(second.error).toBe(reason)
    expect(await third.done).toBe('/third 1')
    expect(api.received.map(({ url }) => url)).toEqual(['/first', '/third'])
  })

  test.for([
    ['a line break in a value', ['host', 'a', 'x-a', 'b\r\nimpersonate-user: root'], 400],
    ['a framing field', ['host', 'a', 'Content-Length', '5'], 500],
    ['no host', ['x-a', 'b'], 500],
    ['two hosts', ['host', 'a', 'Host', 'b'], 500],
  ] as const)('with %s is not sent', async ([, headers, code]) => {
    api.script = echo
    const response = client.send('/a', { headers } as object)
    await response.done
    expect(response.error).toMatchObject({ code })
    expect(await ask('/b')).toBe('/b 1')
    expect(api.received).toHaveLength(1)
  })

  test.for(['POST', 'PUT', 'PATCH'])('%s without a body says so', async (method) => {
    api.script = echo
    await ask('/a', method)
    expect(api.received[0]?.headers).toContainEqual(['content-length', '0'])
  })
})

describe('without a connection', () => {
  test('all requests that wait fail at once, and may be repeated', async () => {
    await api.close()
    const responses = ['/a', '/b', '/c'].map((path) => client.send(path))
    for (const response of responses) await response.done
    expect(responses.map(({ error }) => (error as { code?: string }).code)).toEqual(
      Array.from({ length: 3 }, () => 'ECONNREFUSED'),
    )
    api = await startRawApiServer()
  })

  test('because of an untrusted certificate, no request is sent', async () => {
    const authority = await createAuthority({ commonName: 'another' })
    client = createPoolClient({ ...api, url: api.url, authority })
    const response = client.send('/a')
    await response.done
    expect((response.error as { code?: string }).code).toMatch(/SELF_SIGNED|UNABLE/)
    expect(api.received).toEqual([])
  })
})

describe('a pool that closes', () => {
  test('lets the requests in flight and those that wait end, and takes no new ones', async () => {
    const finish: (() => void)[] = []
    api.script = (exchange) => void finish.push(() => echo(exchange))
    const [first, second] = [client.send('/first'), client.send('/second')]
    await expect.poll(() => finish.length).toBe(1)
    const closed = client.transport.close()
    const late = client.send('/late')
    await late.done
    expect(late.error).toBeInstanceOf(UpstreamError)
    finish[0]?.()
    await expect.poll(() => finish.length).toBe(2)
    finish[1]?.()
    await closed
    expect([await first.done, await second.done]).toEqual(['/first 1', '/second 1'])
    await expect.poll(() => api.connections.open).toBe(0)
  })

  test('by force ends all of them', async () => {
    api.script = () => undefined
    const responses = [client.send('/first'), client.send('/second')]
    await expect.poll(() => api.received.length).toBe(1)
    await client.transport.destroy()
    for (const response of responses) {
      await response.done
      expect(response.error).toBeDefined()
    }
    await expect.poll(() => api.connections.open).toBe(0)
  })
})

describe('the bytes of a large response', () => {
  test('stay as they are until they are given back, whatever comes meanwhile', async () => {
    api.script = ({ write, request }) => write(ok((request.url[1] ?? '').repeat(300_000)))
    const kept: { readonly bytes: Buffer; readonly giveBack: (() => void) | undefined }[] = []
    const large = client.send('/a', {
      onPiece: (bytes, giveBack) => kept.push({ bytes, giveBack }),
    })
    await large.done
    const lent = kept.filter(({ giveBack }) => giveBack !== undefined)
    expect(lent.length).toBeGreaterThan(0)
    for (const letter of 'bcd') expect(await ask(`/${letter}`)).toBe(letter.repeat(300_000))
    for (const { bytes } of kept) expect(bytes.equals(Buffer.alloc(bytes.length, 'a'))).toBe(true)
    const { free } = client.slabs
    for (const { giveBack } of lent) giveBack?.()
    for (const { giveBack } of lent) giveBack?.()
    expect(client.slabs.free).toBe(free + lent.length)
  })

  test('are never lent to a stream, which may keep them', async () => {
    api.script = ({ write }) => write(ok('x'.repeat(300_000)))
    const lent: unknown[] = []
    const stream = client.send('/a', {
      isLongRunning: true,
      onPiece: (_bytes, giveBack) => lent.push(giveBack),
    })
    await stream.done
    expect(lent.length).toBeGreaterThan(0)
    expect(lent.every((giveBack) => giveBack === undefined)).toBe(true)
  })
})

test('a connection that closes before TLS is ready sent nothing, and may be tried again', async () => {
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  client = createPoolClient({ ...api, url: `https://127.0.0.1:${port}` })
  const response = client.send('/')
  await response.done
  expect(response.error).toMatchObject({
    kind: 'connect',
    code: 503,
    headers: { 'Retry-After': '1' },
  })
})
