import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import type { BodyReceiver, Exchange } from '../../src/http/exchange.ts'
import { createGuard, guarded } from '../../src/listener/exception-guard.ts'
import { createMetrics } from '../../src/metrics.ts'
import { memoryLog } from '../audit/fixtures.ts'
import { startBareListener, type BareListener } from '../support/bare-listener.ts'
import { connectHttp2, data, FLAG, headers, type Fields } from '../support/http2-frames.ts'
import { connectRaw, readResponse } from '../support/raw.ts'

const UNEXPECTED = 'unexpected error on a client connection; closing it'

const metrics = createMetrics({ processMetrics: false })

async function exceptions(of = metrics): Promise<number> {
  const { values } = await of.connectionsRefused.get()
  return values.find(({ labels }) => labels.reason === 'exception')?.value ?? 0
}

function fail(): never {
  throw new Error('unexpected')
}

describe('a guarded callback', () => {
  test('gets its arguments, and its connection stays open', () => {
    const { log, lines } = memoryLog()
    const calls: unknown[] = []
    let destroyed = 0
    const guard = createGuard({ destroy: () => (destroyed += 1) }, { log, metrics })
    guard((...args: readonly [number, string]) => calls.push(args))(1, 'b')
    expect({ calls, destroyed, lines }).toEqual({ calls: [[1, 'b']], destroyed: 0, lines: [] })
  })

  test('closes the connection in its arguments when it throws, and the error is logged and counted', async () => {
    const { log, lines } = memoryLog()
    const destroyed: string[] = []
    const connection = (name: string) => ({ destroy: () => destroyed.push(name) })
    const callback = guarded<readonly [number, ReturnType<typeof connection>]>(
      fail,
      (_code, socket) => socket,
      { log, metrics },
    )
    const before = await exceptions()
    callback(1, connection('a'))
    expect(await exceptions()).toBe(before + 1)
    expect(destroyed).toEqual(['a'])
    expect(lines).toMatchObject([{ msg: UNEXPECTED, err: { message: 'unexpected' } }])
  })

  test('does not throw even when the connection cannot be destroyed', () => {
    const { log, lines } = memoryLog()
    createGuard({ destroy: fail }, { log, metrics })(fail)()
    expect(lines.map(({ msg }) => msg)).toEqual([
      UNEXPECTED,
      'a client connection could not be closed',
    ])
  })
})

describe('an exception on the listener closes only one connection', () => {
  let bare: BareListener

  const throwing: BodyReceiver = { onData: fail, onEnd: fail, onError: fail }

  /** The target selects where the exception is thrown. */
  function handle(exchange: Exchange): void {
    const { rawTarget } = exchange.request
    if (rawTarget === '/now') fail()
    if (rawTarget === '/body') exchange.receiveBody(throwing)
    if (rawTarget === '/abort') exchange.onAbort(fail)
    if (rawTarget === '/close') exchange.onClose(fail)
    if (rawTarget === '/body') return
    exchange.response.writeHead(200, ['Content-Length', '2'])
    exchange.response.write(Buffer.from('o'))
    if (rawTarget !== '/abort') exchange.response.end('k')
  }

  beforeAll(async () => {
    bare = await startBareListener({ handle, onMalformed: fail })
  })

  afterAll(() => bare.close())

  async function isServing(): Promise<boolean> {
    const connection = await connectRaw(bare.target)
    connection.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const { status } = await readResponse(connection)
    connection.destroy()
    return status === 200
  }

  const head = (target: string, more = ''): string =>
    `POST ${target} HTTP/1.1\r\nHost: x\r\n${more}\r\n`

  test.for<readonly [where: string, bytes: string]>([
    ['a request', head('/now')],
    ['a request that waits for 100', head('/now', 'Expect: 100-continue\r\n')],
    ['a request with an unknown expectation', head('/now', 'Expect: tea\r\n')],
    ['an upgrade request', head('/now', 'Connection: Upgrade\r\nUpgrade: websocket\r\n')],
    ['a body', `${head('/body', 'Content-Length: 1\r\n')}x`],
    ['the end of a body', head('/body', 'Transfer-Encoding: chunked\r\n') + '0\r\n\r\n'],
    ['the end of a response', head('/close')],
    ['CONNECT', 'CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n'],
    ['malformed input', 'nonsense\r\n\r\n'],
    ['a request without Host', 'GET / HTTP/1.1\r\n\r\n'],
  ])('when it is thrown at %s of HTTP/1.1', async ([, bytes]) => {
    const before = bare.errors.length
    const connection = await connectRaw(bare.target)
    connection.write(bytes)
    await connection.rest()
    expect(bare.errors.slice(before)).toContain(UNEXPECTED)
    expect(await isServing()).toBe(true)
  })

  test('when it is thrown because a client disconnects during a response', async () => {
    const before = bare.errors.length
    const connection = await connectRaw(bare.target)
    connection.write(head('/abort'))
    await connection.read((received) => (received.length > 0 ? { value: 0, bytes: 0 } : undefined))
    connection.destroy()
    await expect.poll(() => bare.errors.slice(before)).toContain(UNEXPECTED)
    expect(await isServing()).toBe(true)
  })

  const fields = (path: string): Fields => [
    [':method', 'POST'],
    [':scheme', 'https'],
    [':authority', 'x'],
    [':path', path],
  ]

  test.for<readonly [where: string, frames: readonly Buffer[]]>([
    ['a stream', [headers(1, fields('/now'))]],
    ['DATA', [headers(1, fields('/body'), FLAG.END_HEADERS), data(1, 'x')]],
    ['the end of a body', [headers(1, fields('/body'), FLAG.END_HEADERS), data(1, '', true)]],
    ['the end of a response', [headers(1, fields('/close'))]],
  ])('when it is thrown at %s of HTTP/2', async ([, frames]) => {
    const before = bare.errors.length
    const connection = await connectHttp2(bare.target)
    connection.send(...frames)
    await connection.end()
    expect(bare.errors.slice(before)).toContain(UNEXPECTED)
    expect(await isServing()).toBe(true)
  })
})
