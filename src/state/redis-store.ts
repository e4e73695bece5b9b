/** What replicas share, in Redis. */
import { randomBytes } from 'node:crypto'

import { throttledLog } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import { maskedText } from '../masked-text.ts'
import type { Metrics } from '../metrics.ts'
import { createCircuit } from './circuit.ts'
import { createDeadlines } from './deadlines.ts'
import { createKeyedDigest } from './keyed-digest.ts'
import {
  createRedisConnection,
  type RedisConnection,
  type RedisConnectionOptions,
} from './redis-connection.ts'
import { COUNT_REPLICAS, LEAVE_REPLICAS, PROBE } from './replica-scripts.ts'
import { createRecordSealer } from './sealed-record.ts'
import {
  HEARTBEAT_MS,
  LEASE_MS,
  StoreUnavailable,
  unexpectedReply,
  UnexpectedReply,
  type Script,
  type SharedStore,
} from './shared-store.ts'
import type { StateSecret } from './state-secret.ts'

/** What is read from files, and may change. */
export interface RedisCredential extends Pick<RedisConnectionOptions, 'password' | 'ca'> {
  readonly secret: StateSecret
}

export interface RedisStoreOptions extends RedisConnectionOptions, RedisCredential {
  /** Before every key. */
  readonly keyPrefix: string
  /** Milliseconds for a script. */
  readonly timeout: number
}

export interface RedisStoreEffects {
  readonly log: Log
  readonly metrics: Pick<Metrics, 'stateUp' | 'stateReplicas' | 'stateErrors' | 'stateDuration'>
}

export interface RedisStore extends SharedStore {
  /** Uses another secret, and connects anew with this credential. */
  update(credential: RedisCredential): void
  /** Removes this replica from those that are counted. Resolves within a deadline; never rejects. */
  close(): Promise<void>
}

const MAX_PROBLEM_LENGTH = 200
/** After as many probes in a row without success, the connection is opened anew: its peer may be gone. */
const PROBES_UNTIL_RENEWAL = 5

/** Starts connecting; until Redis responds, the store has a problem. */
export function createRedisStore(
  options: RedisStoreOptions,
  { log, metrics }: RedisStoreEffects,
): RedisStore {
  const { keyPrefix } = options
  const throttled = throttledLog(log)
  const replica = randomBytes(12).toString('base64url')
  const withDeadline = createDeadlines(options.timeout)
  const listeners: (() => void)[] = []
  let { password, ca } = options
  /** Earlier ones included: replies to what was sent with them may still arrive. */
  const passwords = new Set(password === undefined ? [] : [password])
  let names = createKeyedDigest(options.secret)
  let records = createRecordSealer(options.secret)
  let connectionError: string | undefined
  let connection = open(options)
  let replicas = 1
  /** Of the last script that failed: its slot of a Cluster has to work as well. */
  let failedKey: string | undefined
  let failedProbes = 0

  const key = (name: string, what: string): string => `${keyPrefix}{${name}}:${what}`
  const replicasKey = key('replicas', 'alive')

  const circuit = createCircuit(
    { startsWith: 'Redis has not responded yet' },
    {
      async probe() {
        try {
          if (failedKey !== undefined) await send(PROBE, [`${failedKey}:probe`], [])
          await countReplicas()
        } catch (error) {
          failedProbes += 1
          if (failedProbes % PROBES_UNTIL_RENEWAL === 0) connection.renew()
          throw new Error(problemOf(error), { cause: error })
        }
        failedProbes = 0
        failedKey = undefined
        connectionError = undefined
      },
      onChange(problem) {
        metrics.stateUp.set({ type: 'redis' }, problem === undefined ? 1 : 0)
        if (problem !== undefined) {
          throttled.warn({ problem }, 'Redis cannot be used')
          return
        }
        log.info({ replicas }, 'Redis is used')
        for (const listener of listeners) listener()
      },
    },
  )
  metrics.stateUp.set({ type: 'redis' }, 0)
  const heartbeat = setInterval(() => {
    if (circuit.problem === undefined) countReplicas().catch(failed)
  }, HEARTBEAT_MS).unref()

  function open(connectionOptions: RedisConnectionOptions): RedisConnection {
    const opened = createRedisConnection(connectionOptions, {
      onError: (error) => {
        connectionError = problemOf(error)
      },
      onClose() {
        if (opened !== connection || circuit.problem !== undefined) return
        failed(new Error(connectionError ?? 'the connection to Redis was closed'))
      },
    })
    return opened
  }

  async function send(
    script: Script,
    keys: readonly string[],
    values: readonly (string | number)[],
  ): Promise<unknown> {
    if (!connection.isReady) throw new Error(connectionError ?? 'Redis is not connected')
    return withDeadline(connection.run(script, keys, values))
  }

  async function countReplicas(): Promise<void> {
    const alive = Number(await send(COUNT_REPLICAS, [replicasKey], [replica, LEASE_MS]))
    if (!Number.isSafeInteger(alive) || alive < 1) unexpectedReply()
    replicas = alive
    metrics.stateReplicas.set({ type: 'redis' }, alive)
  }

  function failed(error: unknown): string {
    const problem = problemOf(error)
    metrics.stateErrors.inc({ reason: reasonOf(error) })
    circuit.open(problem)
    return problem
  }

  /** Redis may repeat in an error what it was sent. */
  function problemOf(error: unknown): string {
    const { message } = error as Error
    return maskedText(message, passwords).slice(0, MAX_PROBLEM_LENGTH)
  }

  return {
    get problem() {
      return circuit.problem
    },
    get replicas() {
      return replicas
    },
    replica,
    get names() {
      return names
    },
    get records() {
      return records
    },
    key,
    async run(script, keys, values, read) {
      if (circuit.problem !== undefined) throw new StoreUnavailable(circuit.problem)
      const since = performance.now()
      try {
        const result = read(await send(script, keys, values))
        metrics.stateDuration.observe((performance.now() - since) / 1_000)
        return result
      } catch (error) {
        failedKey = keys[0]
        throw new StoreUnavailable(failed(error))
      }
    },
    onUsable(listener) {
      listeners.push(listener)
      if (circuit.problem === undefined) listener()
    },
    update(credential) {
      names = createKeyedDigest(credential.secret)
      records = createRecordSealer(credential.secret)
      if (credential.password === password && credential.ca === ca) return
      const earlier = connection
      ;({ password, ca } = credential)
      if (password !== undefined) passwords.add(password)
      connection = open({ ...options, ...credential })
      earlier.close()
      circuit.open('connecting with the credential that was reloaded')
    },
    async close() {
      clearInterval(heartbeat)
      const isUsable = circuit.problem === undefined
      circuit.stop()
      if (isUsable) await send(LEAVE_REPLICAS, [replicasKey], [replica]).catch(() => undefined)
      connection.close()
    },
  }
}

function reasonOf(error: unknown): 'timeout' | 'reply' | 'connection' {
  if (error instanceof UnexpectedReply || (error as Error).name === 'ReplyError') return 'reply'
  return (error as Error).message.startsWith('no response within') ? 'timeout' : 'connection'
}
