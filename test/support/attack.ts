/** Gatehouse with a fake API server, and functions to attack it and to examine the result. */
import { expect } from 'vitest'

import type { KeyPair } from '../../certs-dev/pki.ts'
import { startApiServer, type ApiServer, type ReceivedRequest } from './api-server.ts'
import {
  startTestGatehouse,
  upstreamOf,
  type AuditEvent,
  type TestGatehouse,
  type TestGatehouseOptions,
} from './gatehouse.ts'
import {
  connectHttp2,
  type Fields,
  type Http2Connection,
  type Http2Options,
} from './http2-frames.ts'
import {
  connectRaw,
  readResponse,
  type Bytes,
  type RawResponse,
  type RawConnection,
  type RawOptions,
} from './raw.ts'

export interface Attack {
  readonly api: ApiServer
  readonly gatehouse: TestGatehouse
  connect(options?: RawOptions): Promise<RawConnection>
  connectHttp2(options?: Http2Options): Promise<Http2Connection>
  /** An `Authorization` header line for a user, by default ada; the token is remembered as a secret. */
  bearer(claims?: Readonly<Record<string, unknown>>): Promise<string>
  /** Remembers a text that must not appear in a log. */
  keepSecret(secret: string): void
  /** Header fields of an HTTP/2 GET for ada, for a test to change. */
  fields(path: string, more?: Fields): Promise<Fields>
  /** Sends bytes over a new connection and returns the result. */
  send(bytes: Bytes, certificate?: KeyPair): Promise<Aftermath>
  /** Runs an attack; returns the requests that reached the API server and the final audit events. */
  watching<T>(act: () => Promise<T>): Promise<Watched<T>>
  /** Waits until every request so far, including streams, has its final audit event. */
  settled(): Promise<void>
  /** Fails when a user's token or a key appears in a log or has reached the API server. */
  expectNoSecretLeaked(): Promise<void>
  close(): Promise<void>
}

export interface Aftermath {
  readonly response: RawResponse
  /** Whether Gatehouse closed the connection after the response. If not, it has served another request on it. */
  readonly closed: boolean
}

export interface Watched<T> {
  readonly value: T
  readonly received: readonly ReceivedRequest[]
  readonly events: readonly AuditEvent[]
}

export interface AttackOptions extends Partial<TestGatehouseOptions> {
  readonly api?: ApiServer
}

/** Starts Gatehouse and, unless the options have one, a fake API server. */
export async function startAttack(options: AttackOptions = {}): Promise<Attack> {
  const api = options.api ?? (await startApiServer())
  const gatehouse = await startTestGatehouse({ upstream: upstreamOf(api), ...options })
  const secrets = new Set<string>([api.gatehouse.keyPem])
  let probes = 0

  async function bearer(claims?: Readonly<Record<string, unknown>>): Promise<string> {
    const token = await gatehouse.token(claims)
    secrets.add(token)
    return `Authorization: Bearer ${token}\r\n`
  }

  async function finalEvents(): Promise<readonly AuditEvent[]> {
    return (await gatehouse.events()).filter(({ stage }) => stage !== 'ResponseStarted')
  }

  /** Sends a request whose audit event comes after the events of all earlier requests. */
  async function sentinel(): Promise<void> {
    const connection = await connectRaw(target)
    expect(await probe(connection)).toBe(true)
    connection.destroy()
  }

  /** Sends a request of the test's own user on a connection; false if the connection has ended. */
  async function probe(connection: RawConnection): Promise<boolean> {
    const path = `/probe/${++probes}`
    const { handler } = api
    api.handler = undefined
    try {
      connection.write(
        `GET ${path} HTTP/1.1\r\nHost: gatehouse\r\n${await bearer({ sub: 'probe', groups: [] })}\r\n`,
      )
      const response = await connection.read((received, ended) =>
        received.length > 0 || ended ? { value: received.length > 0, bytes: 0 } : undefined,
      )
      if (!response) return false
      const { status, body } = await readResponse(connection)
      expect(status).toBe(200)
      expect(JSON.parse(body)).toMatchObject({ method: 'GET', url: path, body: '' })
    } finally {
      api.handler = handler
    }
    await gatehouse.eventsWhere(({ requestURI }) => requestURI === path)
    return true
  }

  const target = { port: gatehouse.port, ca: gatehouse.ca }
  const attack: Attack = {
    api,
    gatehouse,
    connect: (rawOptions) => connectRaw(target, rawOptions),
    connectHttp2: (http2Options) => connectHttp2(target, http2Options),
    bearer,
    keepSecret: (secret) => secrets.add(secret),
    async fields(path, more = []) {
      const authorization = (await bearer()).slice('Authorization: '.length).trim()
      return [
        [':method', 'GET'],
        [':scheme', 'https'],
        [':authority', 'gatehouse'],
        [':path', path],
        ['authorization', authorization],
        ...more,
      ]
    },
    async send(bytes, certificate) {
      const connection = await connectRaw(target, { certificate })
      try {
        connection.write(bytes)
        const response = await readResponse(connection)
        return { response, closed: await closes(connection, response, certificate) }
      } finally {
        connection.destroy()
      }
    },
    async watching(act) {
      const receivedBefore = api.received.length
      const eventsBefore = (await finalEvents()).length
      const value = await act()
      await sentinel()
      return {
        value,
        received: api.received.slice(receivedBefore).filter((one) => !isProbeRequest(one)),
        events: (await finalEvents()).slice(eventsBefore).filter((event) => !isProbe(event)),
      }
    },
    async settled() {
      await sentinel()
      const events = await gatehouse.events()
      const started = events.filter(({ stage }) => stage === 'ResponseStarted')
      for (const { auditID } of started) {
        await gatehouse.eventsWhere(
          (one) => one.auditID === auditID && one.stage !== 'ResponseStarted',
        )
      }
    },
    async expectNoSecretLeaked() {
      const text = JSON.stringify([await gatehouse.events(), gatehouse.log, api.received])
      const shown = [...secrets].filter((secret) => text.includes(secret))
      expect(shown).toEqual([])
    },
    async close() {
      await gatehouse.close()
      if (options.api === undefined) await api.close()
    },
  }
  return attack

  async function closes(
    connection: RawConnection,
    response: RawResponse,
    certificate: KeyPair | undefined,
  ): Promise<boolean> {
    if (connection.ended || /\r\nconnection: close/i.test(response.head)) {
      await connection.rest()
      return true
    }
    // The test's own user has a token, which is refused together with a certificate.
    if (certificate !== undefined) return false
    return !(await probe(connection))
  }
}

function isProbe({ requestURI }: AuditEvent): boolean {
  return requestURI.startsWith('/probe/')
}

function isProbeRequest({ url }: ReceivedRequest): boolean {
  return url.startsWith('/probe/')
}
