import type { AuditRecord } from '../audit/record.ts'
import type { Authentication } from '../authentication/authenticator.ts'
import type { Exchange } from '../http/exchange.ts'
import { rateLimitHeaders } from '../limits/headers.ts'
import type { Slot } from '../limits/limiter.ts'
import { describeLock, type Lock } from '../locks/lock.ts'
import { isLockOf, refuseLocked, type Locks, type LockSource } from '../locks/locks.ts'
import { lockRequestSchema, targetOf, unlockRequestSchema } from '../locks/schema.ts'
import type { BeforeChange, LockStore } from '../locks/store.ts'
import type { OriginPolicy } from '../pipeline/cross-site.ts'
import type { Frame, Handled, Handler, Observed } from '../pipeline/frame.ts'
import { StatusError } from '../status.ts'
import { identify, type ApiStages } from './identify.ts'
import { readJson } from './json-body.ts'
import { recordChange, respond } from './own-response.ts'

export interface LocksApiOptions {
  readonly stages: ApiStages
  readonly ownHeaders: Frame['ownHeaders']
  readonly originPolicy: OriginPolicy
  readonly locks: Locks
  readonly store: LockStore
  /** Who may use it: exact names. */
  readonly administrators: { readonly users: readonly string[]; readonly groups: readonly string[] }
}

/** What a request did: its response, and for the audit record the lock that it was about. */
interface Done {
  readonly code: number
  readonly body: object
  readonly lock?: string
}

/**
 * Creates the handler of `/gatehouse/api/locks`: GET lists locks, POST sets one, DELETE lifts one. It
 * takes the credentials of the Kubernetes API.
 */
export function createLocksApi(options: LocksApiOptions): Handler {
  const { stages, ownHeaders, locks, store, administrators } = options

  function requireAdministrator({ user }: Authentication): void {
    // Groups that are not asserted do not count: they only take away.
    const isOne =
      administrators.users.includes(user.username) ||
      user.groups.some((group) => administrators.groups.includes(group))
    if (isOne) return
    throw new StatusError(
      'Forbidden',
      `user ${JSON.stringify(user.username)} may not see or change locks: only the users ` +
        'and groups in locks.administrators may',
    )
  }

  function list(): Done {
    const of = (source: LockSource) =>
      locks
        .of(source)
        .filter(({ until = Infinity }) => locks.now(source) < until)
        .map((lock) => shown(lock, source))
    const items = [...of('file'), ...of('store')]
    return { code: 200, body: { apiVersion: 'gatehouse/v1', kind: 'LockList', items } }
  }

  async function set(
    exchange: Exchange,
    authentication: Authentication,
    before: BeforeChange,
  ): Promise<Done> {
    const { reason, expirationSeconds, ...target } = await readJson(exchange, lockRequestSchema)
    const until =
      expirationSeconds === undefined ? undefined : locks.now('store') + expirationSeconds * 1_000
    const lock: Lock = {
      ...{ ...targetOf(target), reason, until },
      actor: authentication.user.username,
    }
    if (isLockOf(lock, authentication, exchange.request.connection)) {
      const what = describeLock(lock)
      throw new StatusError(
        'BadRequest',
        `a lock of ${what} would lock you out: ask another administrator, or use the lock file`,
      )
    }
    await store.set(lock, before)
    const end = until === undefined ? '' : ` until ${new Date(until).toISOString()}`
    return {
      code: 201,
      body: { apiVersion: 'gatehouse/v1', kind: 'Lock', ...shown(lock, 'store') },
      lock: `set: ${describeLock(lock)}${end}: ${reason}`,
    }
  }

  async function lift(exchange: Exchange, before: BeforeChange): Promise<Done> {
    const { target, name } = targetOf(await readJson(exchange, unlockRequestSchema))
    const what = describeLock({ target, name })
    const wasLocked = await store.lift(target, name, before)
    const isInFile = locks.of('file').some((lock) => lock.target === target && lock.name === name)
    if (isInFile) {
      throw new StatusError(
        'Forbidden',
        `${what} is locked by the lock file: remove the lock there`,
        wasLocked ? { lock: `lifted: ${what}` } : {},
      )
    }
    if (!wasLocked) throw new StatusError('NotFound', `${what} is not locked`)
    return {
      code: 200,
      body: { apiVersion: 'gatehouse/v1', kind: 'Lock', [target]: name },
      lock: `lifted: ${what}`,
    }
  }

  function act(exchange: Exchange, authentication: Authentication): Done | Promise<Done> {
    const { method, hasBody, isUpgrade, connection } = exchange.request
    // A lock may come while the body does.
    const before = (): void => refuseLocked(stages.locks, authentication, connection)
    if (method === 'POST') return set(exchange, authentication, before)
    if (method === 'DELETE') return lift(exchange, before)
    if (method === 'GET' && !hasBody && !isUpgrade) return list()
    throw new StatusError('MethodNotAllowed', `${method} is not allowed here`, {
      headers: { Allow: 'GET, POST, DELETE' },
      closeConnection: hasBody,
    })
  }

  return async (exchange: Exchange, record: AuditRecord, observed: Observed): Promise<Handled> => {
    observed.verb = exchange.request.method.toLowerCase()
    const authentication = await identify(exchange, record, options)
    const requestClass = exchange.request.method === 'GET' ? 'read' : 'write'
    observed.requestClass = requestClass
    const slot: Slot = await stages.limiter.admitUser(authentication.user, requestClass)
    try {
      record.admitted()
      requireAdministrator(authentication)
      if (requestClass === 'write') await recordChange(record)
      const { code, body, lock } = await act(exchange, authentication)
      return await respond(exchange, record, ownHeaders, {
        ...{ code, lock },
        headers: [
          ...['Content-Type', 'application/json', 'Cache-Control', 'no-store'],
          ...(slot.state === undefined ? [] : rateLimitHeaders(slot.state)),
        ],
        body: `${JSON.stringify(body)}\n`,
      })
    } finally {
      slot.release()
    }
  }
}

function shown({ target, name, reason, until, actor }: Lock, source: LockSource): object {
  return {
    [target]: name,
    reason,
    ...(until === undefined ? {} : { until: new Date(until).toISOString() }),
    ...(actor === undefined ? {} : { actor }),
    source,
  }
}
