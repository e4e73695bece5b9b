/** The connection to Redis: standalone, Sentinel or Cluster, by ioredis. */
import { Cluster, Redis, type RedisOptions } from 'ioredis'

import { verifiedTls } from '../verified-tls.ts'
import type { Script } from './shared-store.ts'

/** Host name or address, without brackets, and port. */
export interface RedisAddress {
  readonly host: string
  readonly port: number
}

export interface RedisConnectionOptions {
  /** `sentinel`: the addresses are those of the sentinels; `cluster`: of some of the nodes. */
  readonly mode: 'standalone' | 'sentinel' | 'cluster'
  readonly addresses: readonly RedisAddress[]
  /** The name that the sentinels know the primary by. */
  readonly sentinelName: string
  readonly username: string | undefined
  readonly password: string | undefined
  /** PEM. Every certificate is a trust anchor, whether it is self-signed or not; undefined without TLS. */
  readonly ca: string | undefined
}

export interface RedisConnection {
  /** Whether a script can be sent now. */
  readonly isReady: boolean
  /**
   * Runs a script, which Redis keeps by its digest after the first time. It may take as long as the
   * connection lives: deadlines are the caller's.
   *
   * @throws Error when it fails; nothing is repeated that may have run
   */
  run(
    script: Script,
    keys: readonly string[],
    values: readonly (string | number)[],
  ): Promise<unknown>
  /** Opens the connection anew: nothing arrives on it. Does nothing if it is being opened again already. */
  renew(): void
  close(): void
}

export interface RedisConnectionEffects {
  /** Called with what fails besides scripts: refused connections, certificates, passwords. */
  readonly onError: (error: Error) => void
  /** Called when a connection ends that may have been used; another one is opened. */
  readonly onClose: () => void
}

/** Longest time between two attempts to connect: a Redis that is back is used within a second. */
const MAX_RETRY_MS = 250
const CONNECT_TIMEOUT_MS = 2_000
/** States of a client that has a connection. Connecting has a timeout of its own. */
const OPEN: ReadonlySet<string> = new Set(['connect', 'ready'])
/** Bytes that may arrive without a reply being complete: a reply is kept in memory until then. */
const MAX_REPLY_BYTES = 16 * 1_048_576

/** Starts connecting. Scripts fail at once while there is no connection: nothing waits in a queue. */
export function createRedisConnection(
  options: RedisConnectionOptions,
  { onError, onClose }: RedisConnectionEffects,
): RedisConnection {
  const client = connect(options)
  let unfinished = 0
  const limitReplies = (redis: Redis): void => {
    redis.on('connect', () => {
      unfinished = 0
      redis.stream.on('data', (data: Buffer) => {
        unfinished += data.length
        if (unfinished <= MAX_REPLY_BYTES) return
        redis.stream.destroy(new Error(`Redis sent more than ${MAX_REPLY_BYTES} bytes as a reply`))
      })
    })
  }
  if (client instanceof Cluster) client.on('+node', limitReplies)
  else limitReplies(client)
  client.on('error', onError)
  client.on('close', onClose)
  // A cluster reports the errors of its nodes here, and a general one above.
  client.on('node error', onError)
  let gathered: Redis['stream'] | undefined
  /** A system call costs as much as everything else of a script: those of one turn share one. */
  function gatherWrites({ stream }: Redis): void {
    if (gathered === stream) return
    gathered = stream
    stream.cork()
    setImmediate(() => {
      gathered = undefined
      stream.uncork()
    })
  }

  return {
    get isReady() {
      return client.status === 'ready'
    },
    async run({ text, digest }, keys, values) {
      if (client instanceof Redis) gatherWrites(client)
      try {
        return await client.evalsha(digest, keys.length, ...keys, ...values)
      } catch (error) {
        // After a restart or a fail-over. It has not run.
        if (!(error as Error).message.startsWith('NOSCRIPT')) throw error
        return await client.eval(text, keys.length, ...keys, ...values)
      } finally {
        unfinished = 0
      }
    },
    renew() {
      if (OPEN.has(client.status)) client.disconnect(true)
    },
    close() {
      client.disconnect()
    },
  }
}

function connect(options: RedisConnectionOptions): Redis | Cluster {
  const { mode, addresses, sentinelName } = options
  const common = commonOptions(options)
  if (mode === 'cluster') {
    return new Cluster([...addresses], {
      redisOptions: common,
      enableOfflineQueue: false,
      clusterRetryStrategy: retryDelay,
      slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
      // Certificates are for names, and nodes behind a name may change.
      dnsLookup: (address, callback) => callback(null, address),
    })
  }
  if (mode === 'sentinel') {
    return new Redis({
      ...common,
      sentinels: [...addresses],
      name: sentinelName,
      sentinelRetryStrategy: retryDelay,
      sentinelCommandTimeout: CONNECT_TIMEOUT_MS,
      enableTLSForSentinelMode: common.tls !== undefined,
      ...(common.tls === undefined ? {} : { sentinelTLS: common.tls }),
    })
  }
  return new Redis({ ...common, ...addresses[0] })
}

function commonOptions({ username, password, ca }: RedisConnectionOptions) {
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(ca === undefined ? {} : { tls: verifiedTls(ca) }),
    // Scripts return lists of numbers and texts, which are the same in both.
    protocol: 2,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy: retryDelay,
    // A script decides about what happens now: later, it would decide about nothing.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // A former primary after a fail-over.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
    connectionName: 'gatehouse',
    disableClientInfo: true,
  } satisfies RedisOptions
}

function retryDelay(attempt: number): number {
  return Math.min(attempt * 50, MAX_RETRY_MS)
}
