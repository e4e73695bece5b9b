import {
  objectOf,
  reasonOf,
  refusedByGatehouse,
  sendToServer,
  text,
  type ApiRequest,
} from './api-request.ts'
import type { Credential } from './exec/exec-credential.ts'
import { ClientFailure, printable } from './failure.ts'
import type { HttpResponse } from './net/http-client.ts'
import type { Server } from './server.ts'

/** What can be locked, by its name in the API. */
export const LOCK_TARGETS = [
  'user',
  'group',
  'certificateSerial',
  'tokenID',
  'address',
  'disabledAccount',
] as const
export type LockTarget = (typeof LOCK_TARGETS)[number]

export interface Target {
  readonly target: LockTarget
  readonly name: string
}

/** As the server shows it; texts that it leaves out are empty. */
export interface ShownLock extends Target {
  readonly reason: string
  readonly until: string
  readonly actor: string
  /** Where it was set: `file` or `store`. */
  readonly source: string
}

const LOCKS_PATH = '/gatehouse/api/locks'

/** @throws ClientFailure with exit code 8 when the user may not see locks */
export async function requestLocks(
  server: Server,
  credential: Credential,
): Promise<readonly ShownLock[]> {
  const { body } = await send(server, credential, { path: LOCKS_PATH })
  const { items } = objectOf(body)
  return (Array.isArray(items) ? items : []).map((item) => shownLock(item))
}

/**
 * @param seconds how long it shall hold; undefined: until it is lifted
 * @throws ClientFailure with exit code 8 when the user may not set locks, or not this one
 */
export async function requestLock(
  server: Server,
  credential: Credential,
  { target, name, reason, seconds }: Target & { reason: string; seconds: number | undefined },
): Promise<ShownLock> {
  const expiration = seconds === undefined ? {} : { expirationSeconds: seconds }
  const body = JSON.stringify({ [target]: name, reason, ...expiration })
  const response = await send(server, credential, { path: LOCKS_PATH, method: 'POST', body })
  return shownLock(objectOf(response.body))
}

/** @throws ClientFailure with exit code 8 when the user may not lift locks, or there is no such lock */
export async function requestUnlock(
  server: Server,
  credential: Credential,
  { target, name }: Target,
): Promise<void> {
  const body = JSON.stringify({ [target]: name })
  await send(server, credential, { path: LOCKS_PATH, method: 'DELETE', body })
}

async function send(
  server: Server,
  credential: Credential,
  request: ApiRequest,
): Promise<HttpResponse> {
  const response = await sendToServer(server, credential, request)
  const { status } = response
  if (status === 200 || status === 201) return response
  if (status === 401 || status === 403) throw refusedByGatehouse(server, response)
  if (status === 400 || status === 404) throw new ClientFailure('rejected', reasonOf(response))
  throw new ClientFailure('unavailable', `${server.origin}: ${reasonOf(response)}`)
}

function shownLock(value: unknown): ShownLock {
  const fields = objectOf(value)
  const target = LOCK_TARGETS.find((one) => typeof fields[one] === 'string')
  const shown = (name: string): string => printable(text(fields[name]))
  return {
    target: target ?? 'user',
    name: target === undefined ? '' : shown(target),
    ...{ reason: shown('reason'), until: shown('until') },
    ...{ actor: shown('actor'), source: shown('source') },
  }
}
