/**
 * Slows down whoever tries credentials. Only refusals are delayed or replaced: every credential is
 * judged, so that a valid one passes whatever others do at the same address, which may be a NAT.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { malformedRequest } from '../audit/malformed-request.ts'
import type { AlertingAuditor } from '../audit/record.ts'
import type { Authentication, Authenticator, Credentials } from '../authentication/authenticator.ts'
import { statedIdentity } from '../authentication/stated-identity.ts'
import { TwoCredentials } from '../authentication/union.ts'
import type { ClientConnection } from '../http/exchange.ts'
import { addressKey } from '../limits/address-key.ts'
import type { FailedSignIns } from '../limits/failed-sign-ins.ts'
import { throttledLog } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { StatusError } from '../status.ts'

export interface FailureGuardOptions {
  readonly authenticate: Authenticator
  readonly failures: FailedSignIns
  readonly auditor: Pick<AlertingAuditor, 'openAlert'>
}

export interface FailureGuardEffects {
  readonly log: Log
  readonly metrics: Pick<Metrics, 'bans'>
  /** Milliseconds since the epoch. */
  readonly now?: () => number
  readonly wait?: (milliseconds: number) => Promise<unknown>
}

export interface FailureGuard {
  /** Counts what the other authenticator rejects. */
  readonly authenticate: Authenticator
  /**
   * Counts a rejected credential that no authenticator takes, such as a password, and refuses it.
   *
   * @param user from `claimedUser`
   * @throws StatusError the given one, after a delay, or 429
   */
  readonly refuse: (
    connection: ClientConnection,
    user: string,
    error: StatusError,
  ) => Promise<never>
}

/** Refusals that wait at the same time; further ones are sent at once, as to a banned address. */
const MAX_WAITING = 1_000
const MAX_WAITING_OF_ADDRESS = 32
/** For those: long enough to be a delay. */
const RETRY_MS = 1_000

/** Creates the guard of an authenticator. */
export function createFailureGuard(
  { authenticate, failures, auditor }: FailureGuardOptions,
  { log, metrics, now = Date.now, wait = (ms) => sleep(ms) }: FailureGuardEffects,
): FailureGuard {
  const waiting = new Map<string, number>()
  let allWaiting = 0

  function judge(credentials: Credentials, error: unknown): Promise<never> {
    if (!(error instanceof StatusError) || error.code !== 401) throw error
    if (error.cause instanceof TwoCredentials) throw error
    const { user, isGuess } = statedIdentity(credentials, now())
    if (!isGuess) throw error
    return punish(credentials.connection, user, error)
  }

  async function punish(
    connection: ClientConnection,
    user: string | undefined,
    error: StatusError,
  ): Promise<never> {
    const address = addressKey(connection.remoteAddress)
    const { delay, bannedFor, bannedAfter } = await failures.add(address, user)
    if (bannedAfter !== undefined) ban(connection, bannedAfter, bannedFor)
    if (bannedFor > 0) throw tooManyFailures(bannedFor, error)
    if (delay === 0) throw error
    return delayed(address, delay, error)
  }

  async function delayed(address: string, delay: number, error: StatusError): Promise<never> {
    const ofAddress = waiting.get(address) ?? 0
    if (ofAddress >= MAX_WAITING_OF_ADDRESS || allWaiting >= MAX_WAITING) {
      throw tooManyFailures(RETRY_MS, error)
    }
    allWaiting += 1
    waiting.set(address, ofAddress + 1)
    try {
      await wait(delay)
    } finally {
      allWaiting -= 1
      const left = (waiting.get(address) ?? 1) - 1
      if (left === 0) waiting.delete(address)
      else waiting.set(address, left)
    }
    throw error
  }

  function ban(connection: ClientConnection, count: number, milliseconds: number): void {
    const { remoteAddress } = connection
    const address = addressKey(remoteAddress)
    const seconds = Math.ceil(milliseconds / 1_000)
    metrics.bans.inc()
    log.warn({ address, failures: count, seconds }, 'an address is banned for failed sign-ins')
    try {
      const placeholder = { ...connection, peerCertificate: undefined }
      auditor.openAlert(malformedRequest(placeholder), performance.now()).close({
        ...{ code: 429, reason: 'TooManyRequests', bytesReceived: 0, bytesSent: 0 },
        message: `${address} is banned for ${seconds} s: ${count} failed sign-ins`,
      })
    } catch (error) {
      throttledLog(log).warn({ err: error, address }, 'a ban could not be recorded')
    }
  }

  return {
    refuse: punish,
    authenticate(credentials) {
      let result: ReturnType<Authenticator>
      try {
        result = authenticate(credentials)
      } catch (error) {
        return judge(credentials, error)
      }
      if (!(result instanceof Promise)) return result
      return result.catch((error: unknown): Promise<Authentication | undefined> => {
        return judge(credentials, error)
      })
    },
  }
}

/** Without `Retry-After`: kubectl would wait for it in silence. */
function tooManyFailures(milliseconds: number, { cause }: StatusError): StatusError {
  const seconds = Math.ceil(milliseconds / 1_000)
  return new StatusError(
    'TooManyRequests',
    `too many failed sign-ins from this address: try again in ${seconds} s; a valid credential is still accepted`,
    { cause },
  )
}
