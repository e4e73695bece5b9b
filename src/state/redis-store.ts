/** What replicas share, in Redis. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

import { throttledLog } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import { maskedText } from '../masked-text.ts'
import type { Metrics } from '../metrics.ts'
import { createCircuit, type Circuit } from './circuit.ts'
import { createDeadlines } from './deadlines.ts'
import { createKeyedDigest } from './keyed-digest.ts'
import {
  createRedisConnection,
  type RedisConnection,
  type RedisConnectionOptions,
} from './redis-connection.ts'
import { COUNT_REPLICAS, LEAVE_REPLICAS, PROBE } from './replica-scripts.ts'
import { countOf, unexpectedReply, UnexpectedReply } from './script-reply.ts'
import { createRecordSealer } from './sealed-record.ts'
import {
  HEARTBEAT_MS,
  LEASE_MS,
  StoreUnavailable,
  type Script,
  type SharedStore,
} from './shared-store.ts'
import type { StateSecret } from './state-secret.ts'

export type ConnectionCredential = Pick<RedisConnectionOptions, 'password' | 'ca'>

/** What is read from files, and may change. */
export interface RedisCredential extends ConnectionCredential {
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
  /**
   * Connects with another credential, and uses this connection once it works; until then, the earlier one
   * stays in use.
   *
   * @throws Error when it does not work within five seconds. It is tried further, until another one is
   */
  tryCredential(credential: ConnectionCredential): Promise<void>
  updateSecret(secret: StateSecret): void
  /** Removes this replica from those that are counted. Resolves within a deadline; never rejects. */
  close(): Promise<void>
}

interface Link extends ConnectionCredential {
  readonly connection: RedisConnection
  /** What failed last besides scripts. */
  error: string | undefined
}

/** A link that is tried, and replaces the one in use once it works. */
interface Successor {
  readonly link: Link
  readonly circuit: Circuit
  readonly works: Promise<undefined>
}

/** How long a credential may take to work before its reload counts as failed. */
const TRIAL_MS = 5_000
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
  /** All that were sent: replies to what was sent with an earlier one may still arrive. */
  const passwords = new Set<string>()
  let names = createKeyedDigest(options.secret)
  let records = createRecordSealer(options.secret)
  let current = open(options)
  let successor: Successor | undefined
  const retiring = new Set<RedisConnection>()
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
          if (failedKey !== undefined) await send(current, PROBE, [`${failedKey}:probe`], [])
          await countReplicas(current)
        } catch (error) {
          failedProbes += 1
          if (failedProbes % PROBES_UNTIL_RENEWAL === 0) current.connection.renew()
          throw new Error(problemOf(error), { cause: error })
        }
        failedProbes = 0
        failedKey = undefined
        current.error = undefined
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
    if (circuit.problem === undefined) countReplicas(current).catch(failed)
  }, HEARTBEAT_MS).unref()

  function open({ password, ca }: ConnectionCredential): Link {
    if (password !== undefined) passwords.add(password)
    const connection = createRedisConnection(
      { ...options, password, ca },
      {
        onError: (error) => {
          link.error = problemOf(error)
        },
        onClose() {
          if (link !== current || circuit.problem !== undefined) return
          failed(new Error(link.error ?? 'the connection to Redis was closed'))
        },
      },
    )
    const link: Link = { password, ca, connection, error: undefined }
    return link
  }

  function openSuccessor(credential: ConnectionCredential): Successor {
    const link = open(credential)
    const { promise: works, resolve } = Promise.withResolvers<undefined>()
    let failures = 0
    const trial = createCircuit(
      { startsWith: 'Redis has not responded yet' },
      {
        async probe() {
          try {
            await countReplicas(link)
          } catch (error) {
            failures += 1
            if (failures % PROBES_UNTIL_RENEWAL === 0) link.connection.renew()
            throw new Error(problemOf(error), { cause: error })
          }
        },
        onChange(problem) {
          if (problem !== undefined) return
          use(link)
          resolve(undefined)
        },
      },
    )
    return { link, circuit: trial, works }
  }

  function use(link: Link): void {
    const { connection } = current
    current = link
    successor = undefined
    retiring.add(connection)
    // The scripts that it runs still have their deadline.
    const retire = (): void => {
      connection.close()
      retiring.delete(connection)
    }
    setTimeout(retire, options.timeout).unref()
    log.info('connected to Redis with the new credential')
  }

  function dropSuccessor(): void {
    successor?.circuit.stop()
    successor?.link.connection.close()
    successor = undefined
  }

  async function send(
    { connection, error }: Link,
    script: Script,
    keys: readonly string[],
    values: readonly (string | number)[],
  ): Promise<unknown> {
    if (!connection.isReady) throw new Error(error ?? 'Redis is not connected')
    return withDeadline(connection.run(script, keys, values))
  }

  async function countReplicas(link: Link): Promise<void> {
    const alive = countOf(await send(link, COUNT_REPLICAS, [replicasKey], [replica, LEASE_MS]))
    if (alive < 1) unexpectedReply()
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
        const result = read(await send(current, script, keys, values))
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
    async tryCredential(credential) {
      if (isSame(credential, current)) {
        dropSuccessor()
        return
      }
      if (successor === undefined || !isSame(credential, successor.link)) {
        dropSuccessor()
        successor = openSuccessor(credential)
      }
      const { circuit: trial, works } = successor
      await Promise.race([works, sleep(TRIAL_MS, undefined, { ref: false })])
      const { problem } = trial
      if (problem === undefined) return
      throw new Error(`the new credential was tried and is not used: ${problem}`)
    },
    updateSecret(secret) {
      names = createKeyedDigest(secret)
      records = createRecordSealer(secret)
    },
    async close() {
      clearInterval(heartbeat)
      const isUsable = circuit.problem === undefined
      circuit.stop()
      dropSuccessor()
      const leaving = isUsable ? send(current, LEAVE_REPLICAS, [replicasKey], [replica]) : undefined
      await leaving?.catch(() => undefined)
      for (const connection of [...retiring, current.connection]) connection.close()
    },
  }
}

function isSame(one: ConnectionCredential, other: ConnectionCredential): boolean {
  return one.password === other.password && one.ca === other.ca
}

function reasonOf(error: unknown): 'timeout' | 'reply' | 'connection' {
  if (error instanceof UnexpectedReply || (error as Error).name === 'ReplyError') return 'reply'
  return (error as Error).message.startsWith('no response within') ? 'timeout' : 'connection'
}
