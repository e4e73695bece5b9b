import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import type { UpstreamEndpoint } from '../../src/cluster/endpoint.ts'
import { createLog } from '../../src/log.ts'
import { createSessionsTransport } from '../../src/upstream/sessions.ts'
import type { Transport } from '../../src/upstream/transport.ts'
import type { ApiServer } from '../support/api-server.ts'
import {
  responseFrames,
  startHostileApiServer,
  type HostileApiServer,
} from '../support/hostile-api-server.ts'
import { ERROR, goaway, reset, SETTING, settings } from '../support/http2-frames.ts'
import { startRawApiServer } from '../support/raw-api-server.ts'

const REFUSED_STREAM = 7
const LIMITS = {
  maxConnections: 1,
  connectTimeout: 10_000,
  idleTimeout: 60_000,
  responseHeaderTimeout: 60_000,
  stallTimeout: 60_000,
  bodyTimeout: 60_000,
}
const REQUEST = {
  user: 'ada',
  method: 'GET',
  path: '/api/v1/configmaps?watch=1',
  headers: [],
  contentLength: undefined,
  body: undefined,
  isLongRunning: true,
}

type Outcome = { readonly status: number; readonly body: string } | { readonly code: string }

/** Responds to everything with 299. */
const fallback: Transport = {
  send(_request, receiver) {
    receiver.onHead(299, {})
    receiver.onEnd()
  },
  close: () => Promise.resolve(),
  destroy: () => Promise.resolve(),
}
const BY_HTTP1 = { status: 299, body: '' }

function endpointOf({ url, authority, gatehouse }: ApiServer): UpstreamEndpoint {
  const { hostname, port, host } = new URL(url)
  return {
    hostname,
    port: Number(port),
    host,
    tls: {
      ca: authority.certificatePem,
      cert: gatehouse.certificatePem,
      key: gatehouse.keyPem,
      serverName: hostname,
    },
  }
}

function open(api: ApiServer): Transport {
  const log = createLog({ level: 'silent', destination: { write: () => undefined } })
  return createSessionsTransport({ endpoint: endpointOf(api), limits: LIMITS, fallback }, { log })
}

function ask(transport: Transport): Promise<Outcome> {
  return new Promise((resolve) => {
    let status = 0
    let body = ''
    transport.send(REQUEST, {
      onWait: () => undefined,
      onStart: () => undefined,
      onHead: (code) => {
        status = code
      },
      onData: (chunk) => {
        body += chunk.toString()
      },
      onEnd: () => resolve({ status, body }),
      onError: (error) => resolve({ code: String((error as Error & { code?: unknown }).code) }),
    })
  })
}

describe('an API server that supports HTTP/2', () => {
  let api: HostileApiServer
  let transport: Transport
  let sessionsBefore: number
  const sessions = (): number => api.sessions.length - sessionsBefore

  beforeAll(async () => {
    api = await startHostileApiServer()
  })

  beforeEach(() => {
    api.onSession = ({ send }) => send(settings())
    api.onStream = ({ send }, stream) => send(responseFrames(stream))
    sessionsBefore = api.sessions.length
    transport = open(api)
  })

  afterEach(() => transport.destroy())
  afterAll(() => api.close())

  test('gets several streams on one session', async () => {
    const outcomes = await Promise.all([ask(transport), ask(transport), ask(transport)])
    expect(outcomes).toEqual(Array.from({ length: 3 }, () => ({ status: 200, body: '{}' })))
    expect(sessions()).toBe(1)
  })

  test('and allows one stream per session gets a session for each', async () => {
    api.onSession = ({ send }) => send(settings({ [SETTING.MAX_CONCURRENT_STREAMS]: 1 }))
    const held: (() => void)[] = []
    api.onStream = ({ send }, stream) => {
      held.push(() => send(responseFrames(stream)))
      if (held.length === 3) for (const respond of held) respond()
    }
    const outcomes = await Promise.all([ask(transport), ask(transport), ask(transport)])
    expect(outcomes).toEqual(Array.from({ length: 3 }, () => ({ status: 200, body: '{}' })))
    expect(sessions()).toBe(3)
  })

  test('and allows no streams gets the request over HTTP/1.1, after one session', async () => {
    api.onSession = ({ send }) => send(settings({ [SETTING.MAX_CONCURRENT_STREAMS]: 0 }))
    expect(await ask(transport)).toEqual(BY_HTTP1)
    expect(sessions()).toBe(1)
  })

  test.for([
    ['in one packet with its SETTINGS', ERROR.NO_ERROR],
    ['with an error in one packet with its SETTINGS', ERROR.ENHANCE_YOUR_CALM],
  ] as const)('and sends GOAWAY %s is not asked repeatedly', async ([, code]) => {
    api.onSession = ({ send }) => send(settings(), goaway(0, code))
    const outcome = await ask(transport)
    expect([BY_HTTP1, { code: 'ERR_HTTP2_SESSION_ERROR' }]).toContainEqual(outcome)
    expect(sessions()).toBeLessThanOrEqual(2)
  })

  test('and sends GOAWAY for each stream is asked twice, then over HTTP/1.1', async () => {
    api.onStream = ({ send }) => send(goaway(0))
    expect(await ask(transport)).toEqual(BY_HTTP1)
    expect(sessions()).toBe(2)
  })

  test('and refuses every stream is asked twice, then over HTTP/1.1', async () => {
    let streams = 0
    api.onStream = ({ send }, stream) => {
      streams += 1
      send(reset(stream, REFUSED_STREAM))
    }
    expect(await ask(transport)).toEqual(BY_HTTP1)
    expect(streams).toBe(2)
  })

  test('and resets a stream that it may have processed is not asked again', async () => {
    let streams = 0
    api.onStream = ({ send }, stream) => {
      streams += 1
      send(reset(stream, ERROR.CANCEL))
    }
    expect(await ask(transport)).toEqual({ code: 'ECONNRESET' })
    expect(streams).toBe(1)
  })

  test('and closes the connection before its SETTINGS causes an error', async () => {
    api.onSession = ({ socket }) => socket.destroy()
    expect(await ask(transport)).toHaveProperty('code')
    expect(sessions()).toBe(1)
  })
})

test('an API server that negotiates HTTP/1.1 gets watches over HTTP/1.1', async () => {
  const api = await startRawApiServer()
  const transport = open(api)
  expect(await ask(transport)).toEqual(BY_HTTP1)
  await transport.destroy()
  await api.close()
})
