/** Requests of a signed-in user to the API of a Gatehouse. Nothing in a response is trusted. */
import { ClientFailure, printable } from './failure.ts'
import { createHttpClient, type HttpResponse } from './net/http-client.ts'
import { describeNetworkError } from './net/network-error.ts'
import type { Credential } from './exec/exec-credential.ts'
import type { Server } from './server.ts'

export interface ApiRequest {
  readonly path: string
  readonly method?: 'GET' | 'POST' | 'DELETE'
  /** JSON. */
  readonly body?: string
}

/**
 * Sends a request of a user, or of nobody.
 *
 * @throws ClientFailure with exit code 5 when there is no response
 */
export async function sendToServer(
  server: Server,
  { token, certificate }: Credential,
  { path, method = 'GET', body }: ApiRequest,
): Promise<HttpResponse> {
  const http = createHttpClient({ ca: server.certificateAuthority, certificate })
  try {
    return await http.send(server.origin + path, {
      method,
      headers: {
        accept: 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
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

/** The failure of a request that Gatehouse itself has refused, with exit code 8. */
export function refusedByGatehouse(server: Server, response: HttpResponse): ClientFailure {
  return new ClientFailure(
    'rejected',
    `refused by Gatehouse (${server.origin}): ${reasonOf(response)}; quote the Audit-ID ` +
      `${auditID(response)} to your Gatehouse administrator`,
  )
}

/** The message of a Status, as it may be printed. */
export function reasonOf({ status, body }: HttpResponse): string {
  const { message } = objectOf(body)
  return typeof message === 'string' && message !== '' ? printable(message) : `HTTP ${status}`
}

/** `unknown` if the response has none. */
export function auditID({ headers }: HttpResponse): string {
  return printable(text(headers['audit-id'])) || 'unknown'
}

/** The members of a JSON object; none for anything else. */
export function objectOf(value: unknown): Readonly<Record<string, unknown>> {
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

/** Empty for anything but a string. */
export function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
