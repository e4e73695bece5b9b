/** The Redis of a first run, which two Gatehouses share: Debian's redis-server, on loopback. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConfigError, fileProblem } from '../../src/config/problem.ts'
import { acceptsConnections } from '../accepts-connections.ts'
import { findProgram } from '../find-program.ts'
import { LOOPBACK } from '../loopback.ts'
import { freePort } from '../parts/free-ports.ts'

export interface FirstRunRedis {
  /** What the user of the run needs to know. `failed` rejects when Redis ends. */
  readonly shown: {
    readonly redisPort: number
    readonly redisPasswordFile: string
    readonly failed: Promise<never>
  }
  /** `state` of gatehouse.yaml. */
  readonly state: object
  close(): Promise<void>
}

const START_TIMEOUT_MS = 10_000
const POLL_MS = 20

/**
 * Starts Redis, with its files in the folder.
 *
 * @param path a value of PATH
 * @throws ConfigError when there is no redis-server
 */
export async function startFirstRunRedis(directory: string, path: string): Promise<FirstRunRedis> {
  const program = await findProgram('redis-server', path)
  if (program === undefined) {
    const fix = 'on Debian or Ubuntu, run: sudo apt-get install redis-server'
    throw new ConfigError([
      fileProblem('', 'there is no redis-server on your PATH', fix, 'state.redis'),
    ])
  }
  const folder = join(directory, 'redis')
  const secretFile = join(directory, 'state-secret')
  const passwordFile = join(directory, 'redis-password')
  const password = randomBytes(24).toString('base64url')
  await mkdir(folder)
  await writeFile(secretFile, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 })
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 })
  const port = await freePort()
  // From a file: every user of the machine can read arguments.
  const configuration = join(folder, 'redis.conf')
  const lines = [`port ${port}`, `bind ${LOOPBACK}`, `requirepass ${password}`, 'save ""', '']
  await writeFile(configuration, lines.join('\n'), { mode: 0o600 })
  const child = spawn(program, [configuration], { cwd: folder, stdio: 'ignore' })
  const ended = once(child, 'exit')
  const failed = ended.then(() => {
    throw new Error('redis-server has ended')
  })
  failed.catch(() => undefined)
  const redis: FirstRunRedis = {
    shown: { redisPort: port, redisPasswordFile: passwordFile, failed },
    state: {
      type: 'redis',
      redis: { addresses: [`${LOOPBACK}:${port}`], passwordFile, secretFile },
    },
    async close() {
      child.kill()
      await ended
    },
  }
  const deadline = performance.now() + START_TIMEOUT_MS
  while (!(await Promise.race([acceptsConnections(port), failed]))) {
    if (performance.now() > deadline) {
      await redis.close()
      throw new Error(`redis-server does not accept connections on port ${port}`)
    }
    await sleep(POLL_MS)
  }
  return redis
}
