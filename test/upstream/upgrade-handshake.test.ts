import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { resolveRequestInfo } from '../../src/request/request-info.ts'
import { parseTarget } from '../../src/request/target.ts'
import { StatusError } from '../../src/status.ts'
import {
  checkSwitchingProtocols,
  parseHandshake,
  type Handshake,
} from '../../src/upstream/upgrade-handshake.ts'

const EXEC = '/api/v1/namespaces/a/pods/web/exec'
// The example of RFC 6455 section 1.3.
const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
const webSocket = [
  'Upgrade',
  'websocket',
  'Connection',
  'Upgrade',
  'Sec-WebSocket-Key',
  KEY,
  'Sec-WebSocket-Version',
  '13',
]

function handshakeOf(method: string, headers: readonly string[], path = EXEC): Handshake {
  const info = resolveRequestInfo(method, parseTarget(method, path))
  return parseHandshake(method, headers, info)
}

describe('a client may request', () => {
  test('a WebSocket with subprotocols; the bearer token and extensions are not forwarded', () => {
    const handshake = handshakeOf('GET', [
      ...webSocket,
      'Sec-WebSocket-Protocol',
      'base64url.bearer.authorization.k8s.io.dG9rZW4, v5.channel.k8s.io',
      'Sec-WebSocket-Extensions',
      'permessage-deflate',
    ])
    expect(handshake.offered).toEqual(['v5.channel.k8s.io'])
    expect(handshake.headers.join('\n')).not.toMatch(/bearer|deflate/)
  })

  test('SPDY with stream protocol versions, which keep their order', () => {
    const handshake = handshakeOf('POST', [
      'Connection',
      'Upgrade',
      'Upgrade',
      'SPDY/3.1',
      'X-Stream-Protocol-Version',
      'v5.channel.k8s.io',
      'X-Stream-Protocol-Version',
      'v4.channel.k8s.io',
    ])
    expect(handshake).toMatchObject({
      protocol: 'SPDY/3.1',
      offered: ['v5.channel.k8s.io', 'v4.channel.k8s.io'],
    })
  })

  test.for([
    { what: 'h2c', method: 'GET', headers: ['Upgrade', 'h2c'] },
    { what: 'foo', method: 'GET', headers: ['Upgrade', 'foo'] },
    { what: 'two protocols', method: 'GET', headers: ['Upgrade', 'websocket, h2c'] },
    { what: 'two Upgrade headers', method: 'GET', headers: [...webSocket, 'Upgrade', 'h2c'] },
    { what: 'a WebSocket by POST', method: 'POST', headers: webSocket },
    {
      what: 'a WebSocket without a key',
      method: 'GET',
      headers: ['Upgrade', 'websocket', 'Sec-WebSocket-Version', '13'],
    },
    {
      what: 'a WebSocket with two keys',
      method: 'GET',
      headers: [...webSocket, 'Sec-WebSocket-Key', KEY],
    },
    {
      what: 'an old WebSocket version',
      method: 'GET',
      headers: ['Upgrade', 'websocket', 'Sec-WebSocket-Key', KEY, 'Sec-WebSocket-Version', '8'],
    },
    {
      what: 'a subprotocol with a space',
      method: 'GET',
      headers: [...webSocket, 'Sec-WebSocket-Protocol', 'a b'],
    },
  ])('nothing else: $what is refused', ({ method, headers }) => {
    expect(() => handshakeOf(method, headers)).toThrow(StatusError)
  })
})

describe('a 101 response', () => {
  const requested = handshakeOf('GET', [
    ...webSocket,
    'Sec-WebSocket-Protocol',
    'v5.channel.k8s.io',
  ])
  const good = {
    upgrade: 'websocket',
    connection: 'Upgrade',
    'sec-websocket-accept': ACCEPT,
    'sec-websocket-protocol': 'v5.channel.k8s.io',
  }

  test('is accepted when it grants what was requested', () => {
    expect(() => checkSwitchingProtocols(requested, good)).not.toThrow()
  })

  test.for([
    { upgrade: 'SPDY/3.1' },
    { upgrade: undefined },
    { connection: 'close' },
    { 'sec-websocket-accept': 'AAAA' },
    { 'sec-websocket-accept': undefined },
    { 'sec-websocket-protocol': 'v4.channel.k8s.io' },
  ])('is refused when it has %j', (change) => {
    expect(() => checkSwitchingProtocols(requested, { ...good, ...change })).toThrow(StatusError)
  })
})

test('no token in a subprotocol reaches the API server, however it is written', () => {
  const prefix = 'base64url.bearer.authorization.k8s.io.'
  const piece = fc.constantFrom(
    ...[prefix, prefix.toUpperCase(), 'Base64Url.bearer.authorization.k8s.io.', 'dG9rZW4'],
    ...[',', ' ', '\t', '\u00a0', '\v', '\f', '\u0085', 'v5.channel.k8s.io', 'a', ''],
  )
  const value = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''))
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 3 }), (values) => {
      const lines = values.flatMap((one) => ['Sec-WebSocket-Protocol', one])
      let sent: readonly string[] = []
      try {
        sent = handshakeOf('GET', [...webSocket, ...lines]).headers
      } catch (error) {
        if (!(error instanceof StatusError)) throw error
      }
      // Several readers trim more than HTTP allows, and compare in any case.
      const read = sent
        .join(',')
        .split(',')
        .map((one) => one.trim().toLowerCase())
      expect(read.filter((protocol) => protocol.startsWith(prefix))).toEqual([])
    }),
    { numRuns: 2_000 },
  )
})
