/** The store with a Redis that is more than one process, speaks TLS, or lets its user do little. */
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { afterEach, describe, expect, test } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'
import { LOOPBACK } from '../../dev/loopback.ts'
import { freePort } from '../../dev/parts/free-ports.ts'
import { createSharedLimiter, type SharedLimiter } from '../../src/limits/shared.ts'
import { createLocks } from '../../src/locks/locks.ts'
import { createRedisLockStore } from '../../src/locks/redis-store.ts'
import { createMetrics } from '../../src/metrics.ts'
import type { RedisStore, RedisStoreOptions } from '../../src/state/redis-store.ts'
import { memoryLog } from '../audit/fixtures.ts'
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts'
import { openStore } from '../support/redis-store.ts'

const SIZE = { requestsPerSecond: 0.01, burst: 1_000 }

describe.skipIf(!hasRedis)('limits are shared', () => {
  const servers: TestRedis[] = []
  const folders: string[] = []
  let store: RedisStore
  let limiter: SharedLimiter

  afterEach(async () => {
    await limiter.close()
    await store.close()
    for (const server of servers.splice(0)) await server.close()
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true })
  })

  async function server(args: readonly string[] = []): Promise<TestRedis> {
    const started = await startRedis(args)
    servers.push(started)
    return started
  }

  async function folder(): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), 'gatehouse-topology-'))
    folders.push(path)
    return path
  }

  function start(port: number, options: Partial<RedisStoreOptions> = {}): void {
    const opened = openStore(port, options)
    ;({ store } = opened)
    limiter = createSharedLimiter(
      {
        ...{ address: SIZE, signIn: SIZE, groups: [], maxTrackedKeys: 1_000 },
        user: { read: SIZE, write: SIZE, list: SIZE, stream: SIZE },
        ...{ concurrent: { requests: 9, streams: 9 }, onFailure: 'refuse' },
      },
      { metrics: opened.metrics, store },
    )
  }

  const up = () => expect.poll(() => store.problem).toBeUndefined()

  async function admit(name = 'ada'): Promise<string> {
    try {
      const user = { username: name, uid: '', groups: [], extra: {} }
      ;(await limiter.admitUser(user, 'read')).release()
      return 'allowed'
    } catch (error) {
      return (error as Error).name
    }
  }

  test('over TLS, if the certificate is of the configured CA, and not otherwise', async () => {
    const at = await folder()
    const [root, other] = await Promise.all(
      ['redis-root', 'other-ca'].map((commonName) => createAuthority({ commonName })),
    )
    const intermediate = await root!.createIntermediate({ commonName: 'redis-ca' })
    const pair = await intermediate.issue({
      commonName: 'redis',
      ipAddresses: [LOOPBACK],
      dnsNames: [],
      usages: ['server'],
    })
    await writeFile(join(at, 'tls.crt'), pair.certificatePem)
    await writeFile(join(at, 'tls.key'), pair.keyPem)
    const port = await freePort()
    await server([
      ...['--tls-port', String(port), '--tls-auth-clients', 'no'],
      ...['--tls-cert-file', join(at, 'tls.crt'), '--tls-key-file', join(at, 'tls.key')],
      ...['--tls-ca-cert-file', join(at, 'tls.crt')],
    ])
    start(port, { ca: other!.certificatePem })
    await expect.poll(() => store.problem).toMatch(/certificate/)
    expect(await admit()).toBe('StatusError')
    // The intermediate CA alone is a trust anchor, as in Go.
    const ca = intermediate.certificatePem
    await store.tryCredential({ password: undefined, ca })
    await up()
    expect(await admit()).toBe('allowed')
  })

  test('with Sentinel, and again after a fail-over', async () => {
    const primary = await server()
    const replica = await server(['--replicaof', LOOPBACK, String(primary.port)])
    const configuration = join(await folder(), 'sentinel.conf')
    await writeFile(
      configuration,
      [
        `sentinel monitor mymaster ${LOOPBACK} ${primary.port} 1`,
        'sentinel down-after-milliseconds mymaster 500',
        'sentinel failover-timeout mymaster 2000',
        '',
      ].join('\n'),
    )
    const sentinel = await server([configuration, '--sentinel'])
    start(sentinel.port, { mode: 'sentinel' })
    await up()
    expect(await admit()).toBe('allowed')
    await expect
      .poll(async () => JSON.stringify(await sentinel.command('SENTINEL', 'replicas', 'mymaster')))
      .toContain(String(replica.port))
    await primary.kill()
    await expect.poll(() => admit()).toBe('StatusError')
    await up()
    expect(await admit()).toBe('allowed')
    expect(await replica.command('KEYS', '*:read')).toHaveLength(1)
  })

  test('in a Cluster, and after a slot has moved', async () => {
    const nodes = await Promise.all(
      [1, 2, 3].map(() => server(['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000'])),
    )
    const cli = (...args: readonly string[]) => {
      const run = spawnSync('redis-cli', ['--cluster', ...args], { encoding: 'utf8' })
      expect([run.status, run.stdout]).toEqual([0, expect.any(String)])
    }
    const names = nodes.map(({ port }) => `${LOOPBACK}:${port}`)
    cli('create', ...names, '--cluster-replicas', '0', '--cluster-yes')
    start(nodes[0]!.port, { mode: 'cluster' })
    await up()
    const users = Array.from({ length: 30 }, (_, i) => `user ${i}`)
    const all = () => Promise.all(users.map((name) => admit(name)))
    expect(new Set(await all())).toEqual(new Set(['allowed']))
    const [from, to] = await Promise.all(
      [nodes[0]!, nodes[1]!].map((node) => node.command('CLUSTER', 'MYID')),
    )
    cli(
      ...['reshard', names[0]!, '--cluster-from', String(from), '--cluster-to', String(to)],
      ...['--cluster-slots', '3000', '--cluster-yes'],
    )
    await expect.poll(async () => [...new Set(await all())]).toEqual(['allowed'])
    // A busy machine may have missed one deadline meanwhile.
    await expect.poll(() => store.problem).toBeUndefined()
  })

  test('in a Cluster whose hanging node delays no more than one moment', async () => {
    const nodes = await Promise.all(
      [1, 2, 3].map(() =>
        server([
          ...['--cluster-enabled', 'yes', '--cluster-node-timeout', '60000'],
          ...['--cluster-require-full-coverage', 'no'],
        ]),
      ),
    )
    const names = nodes.map(({ port }) => `${LOOPBACK}:${port}`)
    const args = ['--cluster', 'create', ...names, '--cluster-replicas', '0', '--cluster-yes']
    expect(spawnSync('redis-cli', args).status).toBe(0)
    start(nodes[0]!.port, { mode: 'cluster', timeout: 200 })
    await up()
    const users = Array.from({ length: 30 }, (_, i) => `user ${i}`)
    await Promise.all(users.map((name) => admit(name)))
    // The node that does not hold the key with which replicas are counted.
    const slot = Number(await nodes[0]!.command('CLUSTER', 'KEYSLOT', 'gh:{replicas}:alive'))
    const holder = Math.floor((slot * 3) / 16_384)
    const hanging = nodes[(holder + 1) % 3]!
    hanging.signal('SIGSTOP')
    let next = 0
    await expect
      .poll(async () => {
        // On a busy machine, a node that does not hang may miss a deadline as well.
        await admit(users[(next += 1) % 30])
        // Probing the other nodes alone would close the circuit again.
        for (let i = 0; i < 20 && store.problem !== undefined; i += 1) await sleep(50)
        return store.problem
      })
      .toBeDefined()
    hanging.signal('SIGCONT')
    await up()
    expect(await admit()).toBe('allowed')
  })

  test('by an ACL user who may do only what the documentation lists', async () => {
    const text = await readFile(resolve(import.meta.dirname, '../../docs/operations.md'), 'utf8')
    const line = /^user gatehouse on .*$/m.exec(text)?.[0] ?? ''
    const rules = line.replace('#SHA256-OF-THE-PASSWORD', '>secret').split(' ').slice(2)
    const redis = await server()
    await redis.command('ACL', 'SETUSER', 'gatehouse', ...rules)
    await redis.command('ACL', 'SETUSER', 'default', 'resetkeys', 'nocommands', '+acl', '+info')
    const options = { username: 'gatehouse', password: 'secret' }
    start(redis.port, { ...options, keyPrefix: 'gatehouse:' })
    await up()
    expect(await admit()).toBe('allowed')
    await limiter.admitAddress('192.0.2.1')
    expect(await admit()).toBe('allowed')
    const { log } = memoryLog()
    const locks = createLocks({ onChanged: () => undefined })
    const lockStore = createRedisLockStore(
      { isRequired: true, maxStaleness: 60_000, onStale: 'keep' },
      {
        store,
        locks,
        log,
        metrics: createMetrics({ processMetrics: false }),
        onClock: () => undefined,
      },
    )
    await expect.poll(() => lockStore.missing).toBeUndefined()
    const lock = { target: 'user', name: 'ada', reason: 'Away.' } as const
    await lockStore.set({ ...lock, until: undefined, actor: 'grace' }, () => undefined)
    expect(await lockStore.lift('user', 'ada', () => undefined)).toBe(true)
    lockStore.close()
    expect(store.problem).toBeUndefined()
    expect(await redis.command('ACL', 'LOG')).toEqual([])
    await limiter.close()
    await store.close()
    // And nothing outside its keys.
    start(redis.port, { ...options, keyPrefix: 'other:' })
    await expect.poll(() => store.problem).toMatch(/NOPERM|permission/)
  })
})
