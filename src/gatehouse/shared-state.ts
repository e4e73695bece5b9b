/** `state` of gatehouse.yaml: what replicas share, and the files that are needed for it. */
import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'

import { readableByOthers } from '../config/file-access.ts'
import type { ConfigurationReading } from '../config/load.ts'
import { fieldName, valueAt, type Path } from '../config/path.ts'
import { ConfigError, fileProblem, type ConfigProblem } from '../config/problem.ts'
import { readText, type FileFault } from '../config/read-text.ts'
import type { Configuration } from '../config/schema.ts'
import type { Limiter } from '../limits/limiter.ts'
import { createMemoryLimiter } from '../limits/memory.ts'
import { createSharedLimiter } from '../limits/shared.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { certificateBlocks } from '../pem.ts'
import type { RedisAddress } from '../state/redis-connection.ts'
import type { RedisCredential, RedisStore, RedisStoreEffects } from '../state/redis-store.ts'
import type { SharedStore } from '../state/shared-store.ts'
import { parseStateSecret, type StateSecret } from '../state/state-secret.ts'
import { startReloadable, type LoadedPart, type Part, type Reloadable } from './reloadable.ts'

type RedisConfiguration = NonNullable<Configuration['state']['redis']>

export interface SharedState {
  /** Undefined with `type: memory`. */
  readonly store: SharedStore | undefined
  readonly limiter: Limiter
  readonly reloadables: readonly Reloadable[]
  /** Never rejects. */
  readonly close: () => Promise<void>
}

export interface SharedStateEffects {
  readonly log: Log
  readonly metrics: Metrics
  /** Called with each password before it is sent. */
  readonly onPassword: (password: string) => void
}

/** The files of `state.redis`; undefined without Redis. */
export function redisPart({
  type,
  redis,
}: Configuration['state']): Part<RedisCredential> | undefined {
  if (type !== 'redis' || redis === undefined) return undefined
  const { passwordFile, caFile, secretFile } = redis
  return {
    what: 'redis credential',
    files: () => [passwordFile, caFile, secretFile].filter((file) => file !== undefined),
    load: () => loadCredential(redis),
    report: () => ({ warnings: warningsOf(redis) }),
  }
}

/** Starts the limiter, and connecting to Redis, if it is configured. */
export async function startSharedState(
  { limits, state }: Pick<Configuration, 'limits' | 'state'>,
  credential: LoadedPart<RedisCredential> | undefined,
  { log, metrics, onPassword }: SharedStateEffects,
): Promise<SharedState> {
  const { redis } = state
  if (redis === undefined || credential === undefined) {
    metrics.stateUp.set({ type: 'memory' }, 1)
    return {
      store: undefined,
      limiter: createMemoryLimiter(limits, { metrics }),
      reloadables: [],
      close: () => Promise.resolve(),
    }
  }
  const store = await openRedisStore(redis, credential.value, { log, metrics, onPassword })
  const reloadable = startReloadable(
    credential,
    ({ secret }) => store.updateSecret(secret),
    (next) => {
      if (next.password !== undefined) onPassword(next.password)
      return store.tryCredential(next)
    },
  )
  const { onFailure } = state
  const limiter = createSharedLimiter({ ...limits, onFailure }, { metrics, store })
  return {
    store,
    limiter,
    reloadables: [reloadable],
    async close() {
      await limiter.close()
      await store.close()
    },
  }
}

/** Starts connecting to Redis. */
export async function openRedisStore(
  { mode, addresses, sentinelName, username, keyPrefix, timeout }: RedisConfiguration,
  credential: RedisCredential,
  { onPassword, ...effects }: RedisStoreEffects & Pick<SharedStateEffects, 'onPassword'>,
): Promise<RedisStore> {
  if (credential.password !== undefined) onPassword(credential.password)
  // Loaded only where it is used: the library takes a tenth of the CPU of a start.
  const { createRedisStore } = await import('../state/redis-store.ts')
  return createRedisStore(
    {
      ...{ mode, addresses: addresses.map(addressOf), sentinelName, username, keyPrefix, timeout },
      ...credential,
    },
    effects,
  )
}

function addressOf(text: string): RedisAddress {
  const colon = text.lastIndexOf(':')
  return { host: hostOf(text), port: Number(text.slice(colon + 1)) }
}

function hostOf(text: string): string {
  return text.slice(0, text.lastIndexOf(':')).replace(/^\[|\]$/g, '')
}

type RedisFiles = Pick<Partial<RedisConfiguration>, 'passwordFile' | 'caFile' | 'secretFile'>

/** What is wrong in the files of Redis, while gatehouse.yaml itself has problems. */
export function checkRedisFiles({
  raw,
  fileAt,
}: Pick<ConfigurationReading, 'raw' | 'fileAt'>): readonly ConfigProblem[] {
  const path: Path = ['state', 'redis']
  if (valueAt(raw, path) === undefined) return []
  const names = ['passwordFile', 'caFile', 'secretFile'] as const
  const files = names.flatMap((name) => {
    const file = fileAt([...path, name])
    return file === undefined ? [] : [[name, file] as const]
  })
  try {
    loadCredential(Object.fromEntries(files))
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems
  }
}

function loadCredential({ passwordFile, caFile, secretFile }: RedisFiles): RedisCredential {
  const problems: ConfigProblem[] = []
  const read = <T>(name: string, file: string | undefined, parse: (text: string) => Parsed<T>) => {
    if (file === undefined) return undefined
    const add = (message: string, fix: string): void => {
      problems.push(fileProblem(file, message, fix, fieldName(['state', 'redis', name])))
    }
    const text = readText(file, add)
    const parsed = text === undefined ? undefined : parse(text)
    if (parsed !== undefined && 'fault' in parsed) add(...parsed.fault)
    else return parsed?.value
    return undefined
  }
  const password = read('passwordFile', passwordFile, parsePassword)
  const ca = read('caFile', caFile, parseCA)
  const secret = read('secretFile', secretFile, parseSecret)
  if (problems.length > 0 || secret === undefined) throw new ConfigError(problems)
  return { password, ca, secret }
}

type Parsed<T> = { readonly value: T } | { readonly fault: FileFault }

/** One line, as tools and editors write it. */
function parsePassword(text: string): Parsed<string> {
  const password = text.replace(/\r?\n$/, '')
  if (password === '') return { fault: ['is empty', 'write the password into it'] }
  return /[\r\n]/.test(password)
    ? { fault: ['has more than one line', 'write the password alone into it'] }
    : { value: password }
}

function parseCA(text: string): Parsed<string> {
  const blocks = certificateBlocks(text)
  const broken = blocks.findIndex((pem) => !isCertificate(pem))
  if (blocks.length === 0) {
    return {
      fault: ['contains no certificate', 'provide the CA of the certificate of Redis in PEM'],
    }
  }
  // Without the text between them: if only that changes, nobody has to connect anew.
  if (broken < 0) return { value: blocks.join('\n') }
  const nth = `certificate ${broken + 1} of ${blocks.length}`
  return { fault: [`${nth} cannot be parsed`, 'provide the complete PEM certificate'] }
}

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem)
    return true
  } catch {
    return false
  }
}

function parseSecret(text: string): Parsed<StateSecret> {
  const parsed = parseStateSecret(text)
  return 'current' in parsed ? { value: parsed } : { fault: parsed }
}

function warningsOf(redis: RedisConfiguration): readonly ConfigProblem[] {
  const { passwordFile, caFile, secretFile, addresses } = redis
  const secrets = [passwordFile, secretFile].filter((file) => file !== undefined)
  const warnings = secrets.flatMap((file) => {
    const fault = readableByOthers(file)
    return fault === undefined ? [] : [fileProblem(file, ...fault)]
  })
  const [remote] = addresses.filter((address) => !isLoopback(hostOf(address)))
  if (passwordFile !== undefined && caFile === undefined && remote !== undefined) {
    const message = `is sent to ${remote} without TLS`
    warnings.push(fileProblem(passwordFile, message, 'set state.redis.caFile'))
  }
  return warnings
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}
