import { once } from 'node:events'
import { request } from 'node:https'
import { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { StatusError } from '../../src/status.ts'
import { createClientWindows } from '../../src/upstream/client-window.ts'
import type { FrameEnds } from '../../src/upstream/frame-ends.ts'
import { createSlabs } from '../../src/upstream/http1/slabs.ts'
import { createTurnEnd } from '../../src/upstream/http1/turn-end.ts'
import { joinTunnel } from '../../src/upstream/tunnel.ts'
import type { TunnelEffects } from '../../src/upstream/tunnel-side.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'

const EXEC = '/api/v1/namespaces/team-a/pods/web/exec?command=sh'
/** More than the buffers on the way hold. */
const FLOOD = Buffer.alloc(4_000_000)

let api: ApiServer
let gatehouse: TestGatehouse

beforeAll(async () => {
  api = await startApiServer()
  gatehouse = await startTestGatehouse({ upstream: upstreamOf(api) })
})

afterAll(async () => {
  await gatehouse.close()
  await api.close()
})

beforeEach(() => {
  api.upgradeHandler = undefined
})

/** The API server's side of a tunnel behind the handshake. */
function onTunnel(handler: (socket: Duplex) => void): void {
  api.upgradeHandler = (_, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n')
    socket.write('X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n')
    handler(socket)
  }
}

async function openTunnel(): Promise<Duplex> {
  const client = request(`${gatehouse.url}${EXEC}`, {
    ca: gatehouse.ca,
    method: 'POST',
    headers: {
      authorization: `Bearer ${await gatehouse.token()}`,
      connection: 'Upgrade',
      upgrade: 'SPDY/3.1',
      'x-stream-protocol-version': 'v4.channel.k8s.io',
    },
  })
  client.end()
  const [, socket] = (await once(client, 'upgrade')) as [unknown, Duplex]
  return socket
}

/** Everything that a socket receives, however it ends. */
function received(socket: Duplex): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    socket.on('error', () => undefined)
    socket.once('end', () => resolve(text))
    socket.once('close', () => resolve(text))
  })
}

/** What the sender's kernel has sent when it closes; the rest would be lost on the way. */
const LENGTHS = [16, 10_000, 60_000]

describe('an API server that closes with input that it has not read', () => {
  /** As a command that ends early: its last words, then the end, which resets the connection. */
  function speakAndLeave(length: number): void {
    onTunnel((socket) => {
      socket.once('data', () => {
        socket.pause()
        socket.write(Buffer.alloc(length, 'w'))
        socket.write('exit code 3', () => socket.destroy())
      })
    })
  }

  test.for(LENGTHS)('has the last %i bytes that it sent delivered, each time', async (length) => {
    speakAndLeave(length)
    for (let run = 0; run < 10; run++) {
      const client = await openTunnel()
      const all = received(client)
      client.write(FLOOD)
      client.write(FLOOD)
      expect(`run ${run}: ${(await all).slice(length)}`).toBe(`run ${run}: exit code 3`)
      client.destroy()
    }
  })

  test('leaves no connection and no open record behind', async () => {
    speakAndLeave(16)
    const open = api.connections.open
    const client = await openTunnel()
    const all = received(client)
    client.write(FLOOD)
    await all
    client.end()
    await expect.poll(() => api.connections.open).toBeLessThanOrEqual(open)
    await gatehouse.eventsWhere(({ stage }) => stage === 'ResponseComplete')
  })
})

describe('a client that closes with output that it has not read', () => {
  test.for(LENGTHS)('has the last %i bytes that it sent delivered', async (length) => {
    const { promise, resolve } = Promise.withResolvers<string>()
    onTunnel((socket) => {
      resolve(received(socket))
      socket.write(FLOOD)
    })
    const client = await openTunnel()
    client.on('error', () => undefined)
    client.pause()
    client.write(Buffer.alloc(length, 'w'))
    client.write('last words', () => client.destroy())
    expect((await promise).slice(length)).toBe('last words')
  })
})

/** One side of a tunnel, whose peer may be slow to read. */
class FakeSocket extends Duplex {
  written = ''
  writes = 0
  isSlow = false
  pending: (() => void) | undefined

  constructor() {
    super({ highWaterMark: 4 })
  }

  override _read(): void {
    // The test pushes.
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.written += chunk.toString()
    this.writes += 1
    if (this.isSlow) this.pending = callback
    else callback()
  }

  override _final(callback: () => void): void {
    callback()
  }
}

function effects(): TunnelEffects {
  return {
    slabs: createSlabs(),
    atTurnEnd: createTurnEnd(),
    openWindow: createClientWindows(),
  }
}

/** A pair whose client takes nothing until it is told to. */
function slowClient(): { client: FakeSocket; upstream: FakeSocket } {
  const [client, upstream] = [new FakeSocket(), new FakeSocket()]
  joinTunnel({ client, upstream }, effects())
  client.isSlow = true
  return { client, upstream }
}

test('what arrives within a turn is written at once', async () => {
  const { client, upstream } = slowClient()
  client.isSlow = false
  await turn()
  for (const piece of ['a', 'b', 'c']) upstream.push(piece)
  await turn()
  await turn()
  expect([client.written, client.writes]).toEqual(['abc', 1])
})

test.for([
  ['one byte a turn', 1, 40],
  ['64 KiB a turn', 65_536, 40],
] as const)(
  'a side that takes nothing pauses the other one, which sends %s',
  async ([, size, turns]) => {
    const { client, upstream } = slowClient()
    await turn()
    for (let i = 0; i < turns; i++) {
      upstream.push(Buffer.alloc(size, 'x'))
      await turn()
    }
    expect(upstream.isPaused()).toBe(true)
    expect(client.writableLength).toBeLessThanOrEqual(Math.min(17 * size, 524_288 + size))
    client.isSlow = false
    client.pending?.()
    await expect.poll(() => client.written.length).toBe(turns * size)
    expect(upstream.isPaused()).toBe(false)
  },
)

test('what was read of a side before it was reset is delivered to a slow other side', async () => {
  const [client, upstream] = [new FakeSocket(), new FakeSocket()]
  const { done } = joinTunnel({ client, upstream }, effects())
  client.isSlow = true
  upstream.push('first,')
  await turn()
  upstream.push('last words')
  upstream.destroy(new Error('read ECONNRESET'))
  await turn()
  client.isSlow = false
  client.pending?.()
  await turn()
  expect(client.written).toBe('first,last words')
  client.push(null)
  expect(await done).toMatchObject({ bytesToClient: 16, endedBy: 'upstream', clean: false })
})

describe('a tunnel that Gatehouse ends', () => {
  const GOODBYE = '[why]'
  const WHY = new StatusError('Forbidden', 'why')

  /** Frames of a byte for the length and so many of payload. */
  class TestFrames implements FrameEnds {
    #left = 0

    get isAtEnd(): boolean {
      return this.#left === 0
    }

    add(chunk: Buffer): number {
      let end = 0
      for (const [at, byte] of chunk.entries()) {
        this.#left = this.#left === 0 ? byte - 0x30 : this.#left - 1
        if (this.#left === 0) end = at + 1
      }
      return end
    }
  }

  function join() {
    const [client, upstream] = [new FakeSocket(), new FakeSocket()]
    const notice = {
      notice: ({ message }: StatusError) => Buffer.from(`[${message}]`),
      frames: new TestFrames(),
    }
    return { client, upstream, tunnel: joinTunnel({ client, upstream, notice }, effects()) }
  }

  test('says why behind the frame that had begun, and nothing follows', async () => {
    const { client, upstream, tunnel } = join()
    upstream.push('2ab2a')
    await turn()
    tunnel.cut(WHY)
    expect(upstream.destroyed).toBe(false)
    upstream.push('b2cd2c')
    await turn()
    expect(client.written).toBe(`2ab2ab2cd${GOODBYE}`)
    expect(upstream.destroyed).toBe(true)
    client.push(null)
    expect(await tunnel.done).toMatchObject({ endedBy: 'gatehouse', clean: false })
  })

  test('says why at once between two frames', async () => {
    const { client, upstream, tunnel } = join()
    upstream.push('2ab')
    await turn()
    tunnel.cut(WHY)
    await turn()
    expect([client.written, upstream.destroyed]).toEqual([`2ab${GOODBYE}`, true])
    client.push(null)
    await tunnel.done
  })

  test('passes on nothing more of the client, even while it waits for the end of a frame', async () => {
    const { client, upstream, tunnel } = join()
    upstream.push('2a')
    client.push('before,')
    await turn()
    tunnel.cut(WHY)
    client.push('after')
    await turn()
    expect(upstream.written).toBe('before,')
    upstream.push('b')
    await turn()
    client.push(null)
    await tunnel.done
    expect(client.written).toBe(`2ab${GOODBYE}`)
  })

  test('ends without a notice if the rest of the frame does not come', async () => {
    const { client, upstream, tunnel } = join()
    upstream.push('2a')
    await turn()
    tunnel.cut(WHY)
    expect(await tunnel.done).toMatchObject({ endedBy: 'gatehouse' })
    expect([client.written, client.destroyed]).toEqual(['2a', true])
  })

  test('is not waited for by a client that does not read', async () => {
    const { client, upstream, tunnel } = join()
    client.isSlow = true
    upstream.push('2ab')
    await turn()
    tunnel.cut(WHY)
    expect(await tunnel.done).toMatchObject({ endedBy: 'gatehouse' })
  })

  test('has no notice for a client that has ended its side', async () => {
    const { client, upstream, tunnel } = join()
    client.push(null)
    upstream.push(null)
    await turn()
    tunnel.cut(WHY)
    await tunnel.done
    expect(client.written).toBe('')
  })
})
