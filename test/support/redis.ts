/** A real redis-server on loopback, which a test can stop, kill and reconfigure. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { Redis } from 'ioredis'

import { acceptsConnections } from '../../dev/accepts-connections.ts'
import { freePort } from '../../dev/parts/free-ports.ts'
import { LOOPBACK } from '../../dev/loopback.ts'

export const hasRedis = spawnSync('redis-server', ['--version']).status === 0

export interface TestRedis {
  readonly port: number
  /** Runs a command as an administrator. */
  command(...words: readonly string[]): Promise<unknown>
  /** SIGSTOP and SIGCONT. */
  signal(signal: NodeJS.Signals): void
  kill(): Promise<void>
  /** Starts it again on the same port, without its data. */
  start(): Promise<void>
  close(): Promise<void>
}

/**
 * @param args for redis-server; a configuration file first, if there is one
 * @param isTls whether its port is the one with TLS, and there is no other one
 */
export async function startRedis(
  args: readonly string[] = [],
  { isTls = false }: { readonly isTls?: boolean } = {},
): Promise<TestRedis> {
  const required = args.indexOf('--requirepass')
  const password = required < 0 ? undefined : args[required + 1]
  const file = args[0]?.endsWith('.conf') === true ? [args[0]] : []
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-redis-'))
  const port = await freePort()
  let child: ChildProcess | undefined
  const redis: TestRedis = {
    port,
    async command(...words) {
      const options = { host: LOOPBACK, port, lazyConnect: true, protocol: 2 as const }
      const client = new Redis(password === undefined ? options : { ...options, password })
      client.on('error', () => undefined)
      await client.connect()
      try {
        const [name = '', ...rest] = words
        return await client.call(name, ...rest)
      } finally {
        client.disconnect()
      }
    },
    signal(signal) {
      child?.kill(signal)
    },
    async kill() {
      if (child === undefined) return
      const ended = once(child, 'exit')
      child.kill('SIGCONT')
      child.kill('SIGKILL')
      await ended
      child = undefined
    },
    async start() {
      child = spawn(
        'redis-server',
        [
          ...file,
          ...(isTls ? ['--port', '0', '--tls-port', String(port)] : ['--port', String(port)]),
          ...['--bind', LOOPBACK, '--dir', directory],
          ...(args.includes('--sentinel') ? [] : ['--save', '', '--appendonly', 'no']),
          ...args.slice(file.length),
        ],
        { stdio: 'ignore' },
      )
      while (!(await acceptsConnections(port))) await sleep(20)
    },
    async close() {
      await redis.kill()
      await rm(directory, { recursive: true, force: true })
    },
  }
  await redis.start()
  return redis
}
