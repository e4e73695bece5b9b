import { ClientFailure, printable } from './failure.ts'
import { createHttpClient, type HttpResponse } from './net/http-client.ts'
import { describeNetworkError } from './net/network-error.ts'
import type { Server } from './server.ts'

/** The user as Gatehouse sees it. */
export interface WhoAmI {
  readonly username: string
  readonly uid: string
  readonly groups: readonly string[]
  readonly method: string
  /** As in the response; empty when it is not known. */
  readonly expiresAt: string
}

const WHOAMI_PATH = '/gatehouse/api/whoami'
const REVIEW_PATH = '/apis/authentication.k8s.io/v1/selfsubjectreviews'

/**
 * Asks Gatehouse who the user of a token is.
 *
 * @throws ClientFailure with exit code 8 when Gatehouse does not accept the token
 */
export async function requestWhoAmI(server: Server, token: string): Promise<WhoAmI> {
  const response = await send(server, token, WHOAMI_PATH)
  const body = objectOf(response.body)
  if (response.status === 200 && body['kind'] === 'WhoAmI') {
    const { username, uid, groups } = objectOf(body['userInfo'])
    return {
      username: printable(text(username)),
      uid: printable(text(uid)),
      groups: (Array.isArray(groups) ? groups : []).map((group) => printable(text(group))),
      method: printable(text(body['method'])),
      expiresAt: printable(text(body['expiresAt'])),
    }
  }
  if (response.status === 401 || response.status === 403) {
    throw new ClientFailure(
      'rejected',
      `refused by Gatehouse (${server.origin}): ${reasonOf(response)}; ask your Gatehouse ` +
        `administrator, with the Audit-ID ${auditID(response)}`,
    )
  }
  throw new ClientFailure('unavailable', `${server.origin}: ${reasonOf(response)}`)
}

/** Where a request of the user is refused behind Gatehouse's sign-in; undefined when it is not. */
export async function requestReview(server: Server, token: string): Promise<string | undefined> {
  const body = JSON.stringify({
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'SelfSubjectReview',
  })
  const response = await send(server, token, REVIEW_PATH, body)
  if (response.status === 200 || response.status === 201) return undefined
  return `${reasonOf(response)} (Audit-ID ${auditID(response)})`
}

async function send(
  server: Server,
  token: string,
  path: string,
  body?: string,
): Promise<HttpResponse> {
  const http = createHttpClient({ ca: server.certificateAuthority })
  try {
    return await http.send(server.origin + path, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        accept: 'application/json',
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body }),
    })
  } catch (error) {
    const reason = describeNetworkError(error)
    throw new ClientFailure('unavailable', `cannot reach ${server.origin}: ${reason}`, {
      cause: error,
    })
  } finally {
    await http.close()
  }
}

function reasonOf({ status, body }: HttpResponse): string {
  const { message } = objectOf(body)
  return typeof message === 'string' && message !== '' ? printable(message) : `HTTP ${status}`
}

function auditID({ headers }: HttpResponse): string {
  return printable(text(headers['audit-id'])) || 'unknown'
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  const parsed = typeof value === 'string' ? parse(value) : value
  return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {}
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
