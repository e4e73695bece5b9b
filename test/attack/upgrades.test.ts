/**
 * Upgrades (CVE-2018-1002105, CVE-2020-8559): only a 101 that grants what was requested joins the two
 * connections. After any other response both close, and nothing that the client sent behind its request
 * has reached the API server.
 */
import { createHash } from 'node:crypto'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { headerValues } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import {
  RAW_OK,
  startRawApiServer,
  type RawApiServer,
  type RawExchange,
} from '../support/raw-api-server.ts'
import { responseHeader, readResponse, readResponses, type RawConnection } from '../support/raw.ts'

const EXEC = '/api/v1/namespaces/d/pods/p/exec?command=sh'
const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const ACCEPT = createHash('sha1')
  .update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
  .digest('base64')
/** Bytes that a client sends behind its request without waiting: through a tunnel, another request. */
const EARLY = 'GET /api/v1/secrets HTTP/1.1\r\nHost: api\r\n\r\n'

let api: RawApiServer
let attack: Attack
let webSocket: string
let spdy: string

beforeAll(async () => {
  api = await startRawApiServer()
  attack = await startAttack({ api })
  const bearer = await attack.bearer()
  webSocket =
    `GET ${EXEC} HTTP/1.1\r\nHost: gatehouse\r\n${bearer}Connection: keep-alive, uPGRADE\r\n` +
    `Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n` +
    'Sec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io\r\n\r\n'
  spdy =
    `POST ${EXEC} HTTP/1.1\r\nHost: gatehouse\r\n${bearer}Connection: Upgrade\r\n` +
    'Upgrade: SPDY/3.1\r\nContent-Length: 0\r\nX-Stream-Protocol-Version: v5.channel.k8s.io\r\n' +
    'X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n'
})

beforeEach(() => {
  api.script = ({ write }) => write(RAW_OK)
})

afterEach(() => attack.settled())

afterAll(async () => {
  await attack.expectNoSecretLeaked()
  await attack.close()
  await api.close()
})

const SWITCH =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  `Sec-WebSocket-Accept: ${ACCEPT}\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n`
const SWITCH_SPDY =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n' +
  'X-Stream-Protocol-Version: v5.channel.k8s.io\r\n\r\n'

const FIELDS = Array.from({ length: 300 }, (_, i) => `X-${i}: a\r\n`).join('')

/** Records what is received on the connection until Gatehouse closes it. */
function recording(response: (exchange: RawExchange) => void): {
  script: (exchange: RawExchange) => void
  closed: Promise<string>
} {
  const { promise, resolve } = Promise.withResolvers<string>()
  return {
    closed: promise,
    script(exchange) {
      exchange.take()
      exchange.socket.once('close', () => resolve(exchange.bytes()))
      response(exchange)
    },
  }
}

/** Reads from a tunnel as bytes arrive. */
function readText(connection: RawConnection, length: number): Promise<string> {
  return connection.read((received, ended) =>
    received.length >= length || ended
      ? { value: received.toString('latin1'), bytes: received.length }
      : undefined,
  )
}

const RESPONSES: readonly (readonly [
  what: string,
  response: string,
  seen: { readonly status: number; readonly whole?: boolean; readonly body?: RegExp },
])[] = [
  [
    '403 with a Status',
    'HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{"kind":"Status"}',
    { status: 403, body: /^\{"kind":"Status"\}$/ },
  ],
  [
    '404 with 900 kB',
    `HTTP/1.1 404 Not Found\r\nContent-Length: 900000\r\n\r\n${'x'.repeat(900_000)}`,
    { status: 404, body: /^x{900000}$/ },
  ],
  [
    '404 with 2 MB, which is visibly truncated',
    `HTTP/1.1 404 Not Found\r\nContent-Length: 2000000\r\n\r\n${'x'.repeat(2_000_000)}`,
    { status: 404, whole: false },
  ],
  [
    '500 in chunks',
    'HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n4\r\noops\r\n0\r\n\r\n',
    { status: 500, body: /^oops$/ },
  ],
  ['200', RAW_OK, { status: 502 }],
  ['204', 'HTTP/1.1 204 No Content\r\n\r\n', { status: 502 }],
  [
    'a redirect to another server',
    'HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n',
    { status: 502 },
  ],
  [
    'a redirect to itself',
    `HTTP/1.1 307 Temporary Redirect\r\nLocation: ${EXEC}\r\nContent-Length: 0\r\n\r\n`,
    { status: 502 },
  ],
  ['bytes that are not HTTP', 'SSH-2.0-OpenSSH\r\n\r\n', { status: 502 }],
  ['a 101 to another protocol', SWITCH.replace('websocket', 'h2c'), { status: 502 }],
  ['a 101 to two protocols', SWITCH.replace('websocket', 'websocket, h2c'), { status: 502 }],
  ['a 101 without Upgrade', SWITCH.replace('Upgrade: websocket\r\n', ''), { status: 502 }],
  ['a 101 without Connection', SWITCH.replace('Connection: Upgrade\r\n', ''), { status: 502 }],
  [
    'a 101 whose Connection only contains the word',
    SWITCH.replace('Connection: Upgrade', 'Connection: not-upgrade-ish'),
    { status: 502 },
  ],
  ['a 101 that accepts another key', SWITCH.replace(ACCEPT, 'AAAA'), { status: 502 }],
  [
    'a 101 without Sec-WebSocket-Accept',
    SWITCH.replace(`Sec-WebSocket-Accept: ${ACCEPT}\r\n`, ''),
    { status: 502 },
  ],
  [
    'a 101 with Sec-WebSocket-Accept twice',
    SWITCH.replace('Connection:', `Sec-WebSocket-Accept: ${ACCEPT}\r\nConnection:`),
    { status: 502 },
  ],
  [
    'a 101 with a subprotocol that was not offered',
    SWITCH.replace('v5.channel', 'v1.channel'),
    { status: 502 },
  ],
  [
    'a 101 with two subprotocols',
    SWITCH.replace('v5.channel.k8s.io', 'v5.channel.k8s.io, v4.channel.k8s.io'),
    { status: 502 },
  ],
  [
    'a 101 with an extension that was not offered',
    SWITCH.replace('Connection:', 'Sec-WebSocket-Extensions: permessage-deflate\r\nConnection:'),
    { status: 502 },
  ],
  ['a 101 for SPDY', SWITCH_SPDY, { status: 502 }],
  // A pod behind a proxy subresource can send these: refusing them must not end the process.
  ['403 with 300 fields', `HTTP/1.1 403 Forbidden\r\n${FIELDS}\r\n`, { status: 502 }],
  ['a 101 with 300 fields', SWITCH.replace('Connection:', `${FIELDS}Connection:`), { status: 502 }],
]

describe('when the API server responds to an upgrade with', () => {
  test.for(RESPONSES)('%s: only a refusal is relayed', async ([, response, seen]) => {
    const { script, closed } = recording(({ write }) => write(response))
    api.script = script
    const { value, received, events } = await attack.watching(async () => {
      const connection = await attack.connect()
      // If the sockets were joined, the second request would run with Gatehouse's own rights.
      connection.write(webSocket + EARLY)
      const responses = await readResponses(connection)
      return { responses, upstream: await closed }
    })
    expect(value.responses).toMatchObject([{ status: seen.status, whole: seen.whole ?? true }])
    expect(value.responses[0]!.body).toMatch(seen.body ?? /./)
    expect(responseHeader(value.responses[0]!, 'location')).toBeUndefined()
    expect(received).toMatchObject([{ method: 'GET', url: EXEC }])
    expect(value.upstream.match(/\r\n\r\n/g)).toHaveLength(1)
    expect(value.upstream).not.toContain('secrets')
    expect(events).toMatchObject([{ responseStatus: { code: seen.status } }])
  })

  test.for<readonly [what: string, response: string]>([
    ['another protocol', SWITCH],
    ['a version that was not offered', SWITCH_SPDY.replace('v5.channel', 'v2.channel')],
    [
      'two versions',
      SWITCH_SPDY.replace(
        'Connection:',
        'X-Stream-Protocol-Version: v4.channel.k8s.io\r\nConnection:',
      ),
    ],
  ])('a 101 with %s for SPDY, the connections are not joined', async ([, response]) => {
    const { script, closed } = recording(({ write }) => write(response))
    api.script = script
    const connection = await attack.connect()
    connection.write(spdy + EARLY)
    expect(await readResponses(connection)).toMatchObject([{ status: 502, whole: true }])
    expect(await closed).not.toContain('secrets')
  })

  test('a 101 that was not requested, the client gets a 502', async () => {
    const { script, closed } = recording(({ write }) => write(`${SWITCH}tunnel`))
    api.script = script
    const { value } = await attack.watching(async () => {
      const sent = await attack.send(
        `GET /api/v1/pods HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}\r\n`,
      )
      return { sent, upstream: await closed }
    })
    expect(value.sent.response.status).toBe(502)
  })

  test('a reset before any response, the client gets a 502 and the request is not repeated', async () => {
    api.script = ({ reset, take }) => {
      take()
      reset()
    }
    const { value, received } = await attack.watching(async () => {
      const connection = await attack.connect()
      connection.write(spdy)
      return readResponses(connection)
    })
    expect(value).toMatchObject([{ status: 502 }])
    expect(JSON.parse(value[0]!.body)).toMatchObject({ kind: 'Status', code: 502 })
    expect(received).toHaveLength(1)
  })

  test('half a response and a reset, the client gets a 502 and the request is not repeated', async () => {
    api.script = ({ socket, reset, take }) => {
      take()
      socket.write('HTTP/1.1 101 Switching', reset)
    }
    const { value, received } = await attack.watching(async () => {
      const connection = await attack.connect()
      connection.write(webSocket)
      return readResponses(connection)
    })
    expect(value).toMatchObject([{ status: 502 }])
    expect(received).toHaveLength(1)
  })
})

describe('joined connections:', () => {
  test('bytes that the client sent behind its request arrive after the 101, not before', async () => {
    const first = Promise.withResolvers<string>()
    const tunnel = Promise.withResolvers<string>()
    api.script = ({ socket, take, bytes, write }) => {
      take()
      first.resolve(bytes())
      write(SWITCH)
      socket.on('data', () => {
        if (bytes().endsWith('late')) tunnel.resolve(bytes())
      })
    }
    const connection = await attack.connect()
    connection.write(`${webSocket}early,`)
    expect(await first.promise).toMatch(/\r\n\r\n$/)
    expect((await readResponse(connection)).status).toBe(101)
    connection.write('late')
    expect(await tunnel.promise).toMatch(/\r\n\r\nearly,late$/)
    connection.destroy()
  })

  test.for<readonly [what: string, request: () => string, response: string]>([
    ['WebSocket', () => webSocket, SWITCH],
    ['SPDY', () => spdy, SWITCH_SPDY],
  ])('bytes that the API server sent behind its 101 arrive (%s)', async ([, request, response]) => {
    api.script = ({ take, write }) => {
      take()
      write(`${response}\0first bytes`)
    }
    const connection = await attack.connect()
    connection.write(request())
    expect((await readResponse(connection)).status).toBe(101)
    expect(await readText(connection, 12)).toBe('\0first bytes')
    connection.destroy()
  })

  test('the head of the 101 is filtered: no cookie, no alternative service, no second Audit-ID', async () => {
    api.script = ({ request, take, write }) => {
      take()
      const auditIDs = `Audit-Id: ${headerValues(request, 'audit-id')[0] ?? ''}\r\nAudit-Id: forged`
      write(
        SWITCH.replace(
          'Connection:',
          `Set-Cookie: a=b\r\nAlt-Svc: h3=":1"\r\n${auditIDs}\r\nX-Ok: yes\r\nConnection:`,
        ),
      )
    }
    const connection = await attack.connect()
    connection.write(webSocket)
    const response = await readResponse(connection)
    connection.destroy()
    expect(response.head).not.toMatch(/set-cookie|alt-svc|forged/i)
    expect(response.head.match(/^audit-id: /gim)).toHaveLength(1)
    expect(response.head.match(/^upgrade: /gim)).toHaveLength(1)
    expect(response.head.match(/^connection: /gim)).toHaveLength(1)
    expect(responseHeader(response, 'x-ok')).toBe('yes')
  })

  test('a client that has ended its side still receives the rest', async () => {
    api.script = ({ socket, take, bytes, write }) => {
      take({ halfOpen: true })
      write(SWITCH)
      socket.on('end', () => socket.end(`after the end of ${JSON.stringify(bytes().slice(-5))}`))
    }
    const connection = await attack.connect()
    connection.write(webSocket)
    expect((await readResponse(connection)).status).toBe(101)
    connection.write('input')
    connection.socket.end()
    expect((await connection.rest()).toString()).toBe('after the end of "input"')
  })

  test('an API server that has ended its side still receives the rest', async () => {
    const { script, closed } = recording(({ socket, write }) => {
      write(SWITCH)
      socket.end('all')
    })
    api.script = script
    const connection = await attack.connect()
    connection.write(webSocket)
    expect((await readResponse(connection)).status).toBe(101)
    expect(await readText(connection, 3)).toBe('all')
    connection.write('more')
    connection.socket.end('and more')
    expect(await closed).toMatch(/\r\n\r\nmoreand more$/)
  })

  test.for(['client', 'API server'])(
    'when the %s resets its connection, the other side is closed',
    async (side) => {
      const upstream = Promise.withResolvers<RawExchange>()
      const { script, closed } = recording((exchange) => {
        exchange.write(SWITCH)
        upstream.resolve(exchange)
      })
      api.script = script
      const { value, events } = await attack.watching(async () => {
        const connection = await attack.connect()
        connection.write(webSocket)
        expect((await readResponse(connection)).status).toBe(101)
        const exchange = await upstream.promise
        if (side === 'client') connection.reset()
        else exchange.reset()
        await Promise.all([connection.rest(), closed])
        return true
      })
      expect(value).toBe(true)
      expect(events).toMatchObject([
        {
          stage: 'ResponseComplete',
          responseStatus: { code: 101 },
          annotations: { 'gatehouse/abortedBy': side === 'client' ? 'client' : 'upstream' },
        },
      ])
    },
  )

  test.for<readonly [how: string, leave: (connection: RawConnection) => void]>([
    ['closes', (connection) => connection.destroy()],
    ['closes half', (connection) => connection.socket.end()],
    ['resets', (connection) => connection.reset()],
    [
      'closes behind early bytes',
      (connection) => {
        connection.write(EARLY)
        connection.socket.end()
      },
    ],
  ])(
    'when a client %s before the response, the upstream connection is closed',
    async ([, leave]) => {
      const asked = Promise.withResolvers<undefined>()
      const { script, closed } = recording(() => asked.resolve(undefined))
      api.script = script
      const { events } = await attack.watching(async () => {
        const connection = await attack.connect()
        connection.write(webSocket)
        await asked.promise
        leave(connection)
        expect(await closed).not.toContain('secrets')
      })
      expect(events).toMatchObject([
        { responseStatus: { code: 499 }, annotations: { 'gatehouse/abortedBy': 'client' } },
      ])
    },
  )
})

/** The API server ignores `Upgrade` on these and carries them out; Gatehouse would report them as failed. */
describe('an upgrade of a request that the API server never upgrades', () => {
  const SECRET = '/api/v1/namespaces/d/secrets/s'
  const handshakes = {
    SPDY: 'Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n',
    WebSocket: `Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n`,
  }

  test.for<readonly [line: string, protocol: keyof typeof handshakes, writes: number]>([
    [`DELETE ${SECRET}`, 'SPDY', 1],
    ['DELETE /api/v1/namespaces/d/secrets', 'SPDY', 1],
    ['POST /api/v1/namespaces/d/pods/p/eviction', 'SPDY', 1],
    [`PUT ${SECRET}`, 'SPDY', 1],
    [`PATCH ${SECRET}`, 'SPDY', 1],
    [`OPTIONS ${SECRET}`, 'SPDY', 1],
    [`GET ${SECRET}`, 'SPDY', 0],
    [`GET ${SECRET}`, 'WebSocket', 0],
    ['GET /api/v1/namespaces/d/secrets', 'WebSocket', 0],
    ['GET /version', 'WebSocket', 0],
    [`DELETE ${EXEC}`, 'SPDY', 0],
    [`DELETE ${SECRET}`, 'WebSocket', 1],
  ])('is refused and not sent: %s by %s', async ([line, protocol, writes]) => {
    const { requestDuration } = attack.gatehouse.gatehouse.metrics
    const counted = async (): Promise<number> =>
      (await requestDuration.get()).values.find(
        ({ metricName, labels }) =>
          metricName?.endsWith('_count') === true && labels.class === 'write',
      )?.value ?? 0
    const before = await counted()
    const { value, received, events } = await attack.watching(async () =>
      attack.send(
        `${line} HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}` +
          `Connection: Upgrade\r\n${handshakes[protocol]}\r\n`,
      ),
    )
    expect(value).toMatchObject({ response: { status: 400 }, closed: true })
    expect(JSON.parse(value.response.body)).toMatchObject({ kind: 'Status', reason: 'BadRequest' })
    expect(received).toEqual([])
    expect(events).toMatchObject([{ responseStatus: { code: 400 } }])
    expect((await counted()) - before).toBe(writes)
  })

  test.for<readonly [line: string, protocol: keyof typeof handshakes]>([
    ['GET /api/v1/namespaces/d/secrets?watch=1', 'WebSocket'],
    ['GET /api/v1/namespaces/d/pods/p/log?follow=true', 'WebSocket'],
    ['GET /api/v1/namespaces/d/services/s/proxy/', 'WebSocket'],
    [`GET ${EXEC}`, 'SPDY'],
  ])('does not include %s by %s, which is sent', async ([line, protocol]) => {
    api.script = ({ take, write }) => {
      take()
      write('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
    }
    const { value, received } = await attack.watching(async () =>
      attack.send(
        `${line} HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}` +
          `Connection: Upgrade\r\n${handshakes[protocol]}\r\n`,
      ),
    )
    expect(value.response.status).toBe(403)
    expect(received).toHaveLength(1)
  })
})

test('an upgrade has a connection of its own, which is never reused', async () => {
  const connections = new Map<number, string[]>()
  api.script = ({ request, write, take }) => {
    connections.set(request.connection, [
      ...(connections.get(request.connection) ?? []),
      request.url,
    ])
    if (request.url !== EXEC) {
      write(RAW_OK)
      return
    }
    take()
    write('HTTP/1.1 403 Forbidden\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n')
  }
  const get = `GET /api/v1/pods HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}\r\n`
  for (let i = 0; i < 5; i++) {
    expect((await attack.send(get)).response.status).toBe(200)
    expect((await attack.send(webSocket)).response.status).toBe(403)
  }
  const urls = [...connections.values()]
  expect(urls.filter((one) => one.includes(EXEC))).toEqual(Array.from({ length: 5 }, () => [EXEC]))
})

test('an upgrade is sent upstream as it was authorized, without the token and extensions', async () => {
  api.script = ({ write, take }) => {
    take()
    write('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
  }
  const { received } = await attack.watching(async () => {
    await attack.send(
      webSocket.replace(
        'Sec-WebSocket-Version',
        'Sec-WebSocket-Extensions: a\r\nSec-WebSocket-Version',
      ),
    )
    await attack.send(spdy)
  })
  const [first, second] = received
  expect(headerValues(first!, 'upgrade')).toEqual(['websocket'])
  expect(headerValues(first!, 'connection')).toEqual(['Upgrade'])
  expect(headerValues(first!, 'sec-websocket-extensions')).toEqual([])
  expect(headerValues(first!, 'impersonate-user')).toEqual(['oidc:ada'])
  expect(headerValues(first!, 'authorization')).toEqual([])
  expect(headerValues(second!, 'upgrade')).toEqual(['SPDY/3.1'])
  expect(headerValues(second!, 'x-stream-protocol-version')).toEqual([
    'v5.channel.k8s.io',
    'v4.channel.k8s.io',
  ])
})
