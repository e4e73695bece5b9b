/** A Redis that is slow, or none at all: requests are decided without it, and nothing grows. */
import { createServer, connect, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

import { afterEach, describe, expect, onTestFinished, test } from 'vitest'

import { listenOnLoopback, LOOPBACK } from '../../dev/loopback.ts'
import { createSharedLimiter, type SharedLimiter } from '../../src/limits/shared.ts'
import type { RedisStore, RedisStoreOptions } from '../../src/state/redis-store.ts'
import { hasRedis, startRedis } from '../support/redis.ts'
import { openStore } from '../support/redis-store.ts'

const SIZE = { requestsPerSecond: 0.001, burst: 5 }

let store: RedisStore
let limiter: SharedLimiter
let lines: readonly Record<string, unknown>[]

function start(port: number, options: Partial<RedisStoreOptions> = {}): void {
  const opened = openStore(port, options)
  ;({ store, lines } = opened)
  limiter = createSharedLimiter(
    {
      ...{ address: SIZE, signIn: SIZE, groups: [], maxTrackedKeys: 1_000 },
      user: { read: SIZE, write: SIZE, list: SIZE, stream: SIZE },
      ...{ concurrent: { requests: 9, streams: 9 }, onFailure: 'local' },
    },
    { metrics: opened.metrics, store },
  )
}

afterEach(async () => {
  await limiter.close()
  await store.close()
})

async function admitted(): Promise<number> {
  let count = 0
  for (let i = 0; i < 8; i += 1) {
    const user = { username: 'ada', uid: '', groups: [], extra: {} }
    try {
      ;(await limiter.admitUser(user, 'read')).release()
      count += 1
    } catch {
      // Refused.
    }
  }
  return count
}

async function serve(onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    onConnection(socket)
  })
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return listenOnLoopback(server)
}

/** Sends the same for whatever arrives. */
const always = (reply: string | Buffer) => (socket: Socket) => {
  socket.on('data', () => socket.write(reply))
}

/** A Redis that accepts connections, and sends this for scripts. */
const forScripts = (reply: string) => (socket: Socket) => {
  socket.on('data', (data) => {
    for (const command of data.toString('latin1').split(/(?=^\*\d+\r$)/m)) {
      if (/evalsha/i.test(command)) socket.write(reply)
      else if (/info/i.test(command)) socket.write('$9\r\nloading:0\r\n')
      else socket.write('+OK\r\n')
    }
  })
}

describe('a server that is not a Redis is handled as one that is down', () => {
  test.for<readonly [string, (socket: Socket) => void]>([
    ['speaks HTTP', always('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')],
    ['agrees to everything', always('+OK\r\n')],
    ['sends random bytes', always(Buffer.from([0x00, 0xff, 0x2a, 0x0d, 0x0a, 0x80]))],
    ['closes at once', (socket) => socket.destroy()],
    ['never responds', () => undefined],
    ['announces a text of 500 MB', always('$500000000\r\nx')],
    ['announces a list of a billion', always('*1000000000\r\n')],
    ['nests lists without end', always('*1\r\n'.repeat(10_000))],
    ['returns a number for a decision', forScripts(':1\r\n')],
    ['returns a text for a decision', forScripts('$3\r\nyes\r\n')],
    ['returns an outcome that there is not', forScripts('*4\r\n:7\r\n:0\r\n:0\r\n:0\r\n')],
    ['returns a negative number', forScripts('*4\r\n:0\r\n:-9\r\n:0\r\n:0\r\n')],
    ['returns too many numbers', forScripts('*5\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n')],
    ['returns nothing', forScripts('*-1\r\n')],
  ])('%s', async ([, onConnection]) => {
    const port = await serve(onConnection)
    start(port, { timeout: 100 })
    await sleep(300)
    expect(await admitted()).toBe(5)
    await sleep(300)
    expect(await admitted()).toBe(0)
    expect(store.replicas).toBe(1)
    const { rss } = process.memoryUsage()
    expect(rss).toBeLessThan(1_000_000_000)
  })

  /** Sends as fast as it is read. */
  const flood = (piece: Buffer, sockets: Socket[]) => (socket: Socket) => {
    sockets.push(socket)
    const fill = (): void => {
      while (!socket.destroyed && socket.write(piece)) continue
    }
    socket.on('drain', fill)
    fill()
  }

  test('sends replies without being asked', async () => {
    start(await serve(flood(Buffer.from('+x\r\n'.repeat(1_000)), [])), { timeout: 100 })
    await expect.poll(() => store.problem).toMatch(/unexpected/)
    expect(await admitted()).toBe(5)
  })

  test('sends one text without end', async () => {
    const sockets: Socket[] = []
    start(await serve(flood(Buffer.alloc(65_536, '$9000000000\r\n'), sockets)), { timeout: 100 })
    await expect.poll(() => sockets.filter(({ destroyed }) => destroyed).length).toBeGreaterThan(1)
    expect(await admitted()).toBe(5)
    // A reply is in memory until it is complete: 16 MiB, and what is on its way.
    expect(Math.max(...sockets.map(({ bytesWritten }) => bytesWritten))).toBeLessThan(50_000_000)
  })

  test('repeats the password, which no log and no probe shows', async () => {
    const password = 'very-secret-password'
    const port = await serve((socket) => {
      socket.on('data', (data) => {
        const words = data
          .toString()
          .replaceAll(/\r\n[$*]\d+/g, '')
          .replaceAll(/\s+/g, ' ')
        socket.write(`-ERR unknown command, with args beginning with: ${words}\r\n`)
      })
    })
    start(port, { timeout: 100, password })
    await expect.poll(() => store.problem).toContain('***')
    expect(`${store.problem} ${JSON.stringify(lines)}`).not.toContain(password)
  })

  test('repeats the passwords before and after a reload, which no log shows either', async () => {
    const passwords = ['earlier-password', 'next-password']
    const repeated = `-ERR you once sent ${passwords.join(' or ')}\r\n`
    start(await serve(always(repeated)), { timeout: 100, password: passwords[0] })
    // The next one was not sent yet.
    await expect.poll(() => store.problem).toContain('*** or next-password')
    const trial = store.tryCredential({ password: passwords[1], ca: undefined })
    await expect(trial).rejects.toThrow('is not used: ERR you once sent *** or ***')
    await expect.poll(() => store.problem).toContain('*** or ***')
    expect(JSON.stringify(lines)).not.toMatch(/(?:earlier|next)-password/)
  })
})

describe.skipIf(!hasRedis)('a Redis behind 200 ms of latency', () => {
  test('is used again when its connection is dead without a word', async () => {
    const { port, path } = await slowRedis()
    path.latency = 0
    start(port, { timeout: 100 })
    await expect.poll(() => store.problem).toBeUndefined()
    path.isDead = true
    expect(await admitted()).toBe(5)
    expect(store.problem).toBe('no response within 100 ms')
    await expect.poll(() => store.problem).toBeUndefined()
  })

  async function slowRedis() {
    const redis = await startRedis()
    onTestFinished(() => redis.close())
    const path = { latency: 200, isDead: false }
    const port = await serve((socket) => {
      const upstream = connect(redis.port, LOOPBACK)
      upstream.on('error', () => socket.destroy())
      socket.on('close', () => upstream.destroy())
      let isDead = false
      socket.on('data', (data) => {
        // Only the connections of that moment.
        isDead ||= path.isDead
        path.isDead = false
        if (!isDead) setTimeout(() => upstream.write(data), path.latency)
      })
      upstream.on('data', (data) => socket.write(data))
      upstream.on('close', () => socket.destroy())
    })
    return { port, path }
  }

  test('is used with a longer timeout', async () => {
    const { port } = await slowRedis()
    start(port, { timeout: 2_000 })
    await expect.poll(() => store.problem).toBeUndefined()
    expect(await admitted()).toBe(5)
    expect(store.problem).toBeUndefined()
  })

  test('is not used with a shorter one, and is again when it is faster', async () => {
    const { port, path } = await slowRedis()
    path.latency = 0
    start(port, { timeout: 100 })
    await expect.poll(() => store.problem).toBeUndefined()
    path.latency = 200
    expect(await admitted()).toBe(5)
    expect(store.problem).toBe('no response within 100 ms')
    // Its probes take as long as requests would, so none of them closes the circuit.
    for (let i = 0; i < 20; i += 1) {
      expect(store.problem).toBeDefined()
      await sleep(50)
    }
    path.latency = 0
    await expect.poll(() => store.problem).toBeUndefined()
  })
})
