/**
 * Both halves of the upgrade handshake: what a client may request, and whether a 101 grants exactly
 * that (RFC 9110 section 7.8, RFC 6455 section 4; CVE-2018-1002105).
 */
import { createHash } from 'node:crypto'

import { isBearerSubprotocol } from '../authentication/bearer.ts'
import type { RawHeaders } from '../http/exchange.ts'
import { listItems } from '../http/list-header.ts'
import { isUpgradable } from '../request/long-running.ts'
import type { RequestInfo } from '../request/types.ts'
import { StatusError } from '../status.ts'
import { unusableResponse } from './errors.ts'
import type { UpstreamResponseHeaders } from './response-headers.ts'

export interface Handshake {
  readonly protocol: 'websocket' | 'SPDY/3.1'
  /** Fields sent upstream: `Upgrade`, `Connection` and the protocol's own, without a bearer token. */
  readonly headers: readonly string[]
  readonly webSocketKey: string | undefined
  /** Subprotocols or stream protocol versions offered. */
  readonly offered: readonly string[]
}

/** 24 characters of base64: 16 bytes (RFC 6455 section 4.1). */
const WEBSOCKET_KEY = /^[A-Za-z0-9+/]{22}==$/
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const TOKEN_LIST_ITEM = /^[!#$%&'*+\-.^_`|~0-9A-Za-z/]+$/

/**
 * Parses the client's handshake. The API server ignores `Upgrade` on other requests, carries them out
 * and responds with 200, which Gatehouse could only report as a failure: they are not sent.
 *
 * @throws StatusError 400 for any other protocol (`h2c` above all), an invalid handshake, or a request
 * that the API server never upgrades
 */
export function parseHandshake(
  method: string,
  rawHeaders: RawHeaders,
  info: RequestInfo,
): Handshake {
  const handshake = readHandshake(method, (name) => headerValues(rawHeaders, name))
  if (!isUpgradable(info, method, handshake.protocol)) {
    throw badHandshake(
      `this request cannot be upgraded to ${handshake.protocol}: only exec, attach, portforward ` +
        'and proxy support upgrades, and watch and log only to WebSocket',
    )
  }
  return handshake
}

function readHandshake(method: string, values: (name: string) => string[]): Handshake {
  const upgrade = values('upgrade')
  if (upgrade.length === 1 && upgrade[0]?.toLowerCase() === 'websocket') {
    return webSocketHandshake(method, values)
  }
  if (upgrade.length === 1 && upgrade[0]?.toLowerCase() === 'spdy/3.1') return spdyHandshake(values)
  throw badHandshake('only upgrades to websocket and SPDY/3.1 are supported')
}

function webSocketHandshake(method: string, values: (name: string) => string[]): Handshake {
  const [key, ...moreKeys] = values('sec-websocket-key')
  const version = values('sec-websocket-version')
  if (method !== 'GET') throw badHandshake('a WebSocket handshake must be a GET request')
  if (key === undefined || moreKeys.length > 0 || !WEBSOCKET_KEY.test(key)) {
    throw badHandshake('Sec-WebSocket-Key must be a single 16-byte key in base64')
  }
  if (version.length !== 1 || version[0] !== '13') {
    throw badHandshake('Sec-WebSocket-Version must be 13')
  }
  // Authentication has read the client's token, which must not reach the API server.
  const offered = list(values('sec-websocket-protocol')).filter(
    (protocol) => !isBearerSubprotocol(protocol),
  )
  return {
    protocol: 'websocket',
    // Extensions are not forwarded: frames stay uncompressed.
    headers: [
      'upgrade',
      'websocket',
      'connection',
      'Upgrade',
      'sec-websocket-key',
      key,
      'sec-websocket-version',
      '13',
      ...(offered.length === 0 ? [] : ['sec-websocket-protocol', offered.join(', ')]),
    ],
    webSocketKey: key,
    offered,
  }
}

function spdyHandshake(values: (name: string) => string[]): Handshake {
  const offered = list(values('x-stream-protocol-version'))
  return {
    protocol: 'SPDY/3.1',
    headers: [
      'upgrade',
      'SPDY/3.1',
      'connection',
      'Upgrade',
      ...offered.flatMap((version) => ['x-stream-protocol-version', version]),
    ],
    webSocketKey: undefined,
    offered,
  }
}

/**
 * Checks that a 101 grants what was requested.
 *
 * @throws UpstreamError 502 otherwise; the two sockets must not be joined then
 */
export function checkSwitchingProtocols(
  handshake: Handshake,
  headers: UpstreamResponseHeaders,
): void {
  const upgrade = single(headers['upgrade'])
  const connection = single(headers['connection'])?.toLowerCase().split(',')
  const agreed =
    upgrade?.toLowerCase() === handshake.protocol.toLowerCase() &&
    connection?.some((option) => option.trim() === 'upgrade') === true
  const chosen = chosenProtocol(handshake.protocol, headers)
  const knownProtocol = chosen === undefined || handshake.offered.includes(chosen)
  const accepted =
    handshake.webSocketKey === undefined ||
    single(headers['sec-websocket-accept']) === acceptFor(handshake.webSocketKey)
  // None was offered, so none may be granted (RFC 6455 section 4.1).
  const extended = headers['sec-websocket-extensions'] !== undefined
  if (!agreed || !knownProtocol || !accepted || extended) {
    throw unusableResponse('the API server switched to a protocol that was not requested')
  }
}

/** The subprotocol or stream protocol version that a 101 names. */
export function chosenProtocol(
  protocol: Handshake['protocol'],
  headers: UpstreamResponseHeaders,
): string | undefined {
  return single(
    headers[protocol === 'websocket' ? 'sec-websocket-protocol' : 'x-stream-protocol-version'],
  )
}

function acceptFor(key: string): string {
  return createHash('sha1')
    .update(key + WEBSOCKET_GUID)
    .digest('base64')
}

function headerValues(rawHeaders: RawHeaders, name: string): string[] {
  const values: string[] = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if ((rawHeaders[i] ?? '').toLowerCase() === name) values.push(rawHeaders[i + 1] ?? '')
  }
  return values
}

function list(values: readonly string[]): string[] {
  const items = listItems(values)
  const bad = items.find((item) => !TOKEN_LIST_ITEM.test(item))
  if (bad !== undefined) throw badHandshake('the handshake contains an invalid protocol name')
  return items
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value
}

function badHandshake(message: string): StatusError {
  return new StatusError('BadRequest', message, { closeConnection: true })
}
