/**
 * Upgrades (exec, attach, port-forward, WebSocket watch): a new connection each, never pooled. Only a
 * 101 that grants what was requested joins the two sides; any other response is relayed, and both
 * connections close (CVE-2018-1002105, CVE-2020-8559).
 */
import { request as httpsRequest } from 'node:https'
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'

import { connectTls } from '../cluster/connect.ts'
import type { ConnectionLimits, UpstreamEndpoint } from '../cluster/endpoint.ts'
import type { Exchange, RawHeaders } from '../http/exchange.ts'
import { closeWithin } from '../http/response-deadline.ts'
import type { RequestInfo } from '../request/types.ts'
import { StatusError } from '../status.ts'
import { checkAuditID } from './audit-id.ts'
import { tunnelNotice } from './end-notice.ts'
import { neverConnected, toUpstreamError, UpstreamError } from './errors.ts'
import { NOT_RECORDED, type ForwardRecord } from './forward-record.ts'
import { CLIENT_CLOSED_REQUEST, type ForwardOutcome } from './outcome.ts'
import { checkResponse, responseHeaders, type UpstreamResponseHeaders } from './response-headers.ts'
import { Landing } from './landing.ts'
import { joinTunnel, type Tunnel, type TunnelEnd, type TunnelSockets } from './tunnel.ts'
import type { TunnelEffects } from './tunnel-side.ts'
import { checkSwitchingProtocols, chosenProtocol, type Handshake } from './upgrade-handshake.ts'

/** Limits on an error response: the size of its body, and the time to receive it and to send it on. */
const MAX_ERROR_BYTES = 1_048_576
const ERROR_TIMEOUT_MS = 10_000
/** Bytes; the client of an upgrade speaks HTTP/1.1, for which the limit of `MAX_RESPONSE_HEAD` is not needed. */
const MAX_UPGRADE_HEAD = 65_536

export interface UpgradeOptions {
  readonly exchange: Exchange
  readonly endpoint: UpstreamEndpoint
  readonly limits: ConnectionLimits
  readonly path: string
  readonly handshake: Handshake
  /** From `headers.ts`. */
  readonly headers: readonly string[]
  readonly ownHeaders: RawHeaders
  /** That of the request; a response with another one is refused. Undefined: not compared. */
  readonly auditID: string | undefined
  readonly info: RequestInfo
  readonly isConnect: boolean
  readonly record: ForwardRecord
  /** For the record. */
  readonly identityMode: string
  /** Called with a function that ends the pending handshake or the tunnel. */
  readonly onCut: ((cut: (reason: StatusError) => void) => void) | undefined
}

/**
 * Requests the upgrade from the API server and, when it is granted, joins the two connections.
 *
 * @throws StatusError as long as nothing was sent to the client
 */
export function forwardUpgrade(
  options: UpgradeOptions,
  effects: TunnelEffects,
): Promise<ForwardOutcome> {
  const { exchange, endpoint, limits, handshake, record } = options
  return new Promise((resolve, reject) => {
    let settled = false
    const headers = [...options.headers, ...handshake.headers]
    // Node would announce a chunked body for a POST without a length (SPDY handshakes are POSTs).
    if (exchange.request.method !== 'GET') headers.push('content-length', '0')

    /** Until then, nothing was sent. */
    let isConnected = false
    const landing = new Landing()
    const upstream = httpsRequest({
      // No `agent`, not even `false`: an agent would open the connection itself.
      createConnection() {
        // The tunnel forwards a half-close.
        const connection = {
          protocols: ['http/1.1'],
          allowHalfOpen: true,
          onread: landing.onread,
        }
        const socket = connectTls(endpoint, limits, connection)
        landing.attach(socket)
        socket.once('secureConnect', () => {
          isConnected = true
          record.identityAsserted(options.identityMode)
        })
        return socket
      },
      method: exchange.request.method,
      path: options.path,
      headers: headers as unknown as Record<string, string>,
      setHost: false,
      maxHeaderSize: MAX_UPGRADE_HEAD,
    })
    const timer = setTimeout(() => {
      const message = 'the API server did not respond in time'
      upstream.destroy(new UpstreamError('timeout', 'Timeout', message))
    }, limits.responseHeaderTimeout)

    const fail = (error: unknown): void => {
      clearTimeout(timer)
      upstream.destroy()
      if (settled) return
      settled = true
      reject(error instanceof StatusError ? error : toUpstreamError(error))
    }
    let tunnel: Tunnel | undefined
    /** Drops a response that waits for its audit event. */
    let withhold: ((reason: string) => void) | undefined
    options.onCut?.((reason) => {
      if (tunnel !== undefined) tunnel.cut(reason)
      else if (withhold === undefined) fail(reason)
      else withhold(reason.message)
    })
    /** Goes on once the event of the response is in the kernel, where the mode of the audit log demands it. */
    const whenRecorded = (code: number, received: Readable, proceed: () => void): void => {
      if (!record.holdsResponse) {
        proceed()
        return
      }
      received.on('error', () => undefined)
      withhold = (cause) => {
        received.destroy()
        if (settled) return
        settled = true
        exchange.response.destroy()
        resolve({ code, abortedBy: 'gatehouse', cause })
      }
      record.responseStarted(code)
      const recorded = record.recorded ?? Promise.resolve(false)
      void recorded.then((isRecorded) => {
        if (settled || !isRecorded) withhold?.(NOT_RECORDED)
        else proceed()
      })
    }
    upstream.on('error', (error) => fail(isConnected ? error : neverConnected(error)))
    // All interim (1xx) responses together are limited by the header timeout, each by MAX_UPGRADE_HEAD.
    upstream.on('upgrade', (message, socket, head) => {
      clearTimeout(timer)
      if (settled) {
        socket.destroy()
        return
      }
      const attempt = (step: () => void): void => {
        try {
          step()
        } catch (error) {
          socket.destroy()
          fail(error)
        }
      }
      attempt(() => {
        if (options.auditID !== undefined) checkAuditID(message.headers, options.auditID)
        checkSwitchingProtocols(handshake, message.headers)
        // At once: behind the end of the stream it would be too late.
        if (head.length > 0) socket.unshift(head)
        whenRecorded(101, socket, () =>
          attempt(() => {
            tunnel = join(options, message, { upstream: socket, landing }, effects)
            settled = true
            resolve(tunnel.done.then(outcomeOf))
          }),
        )
      })
    })
    upstream.on('response', (message) => {
      clearTimeout(timer)
      if (settled) return
      const attempt = (step: () => void): void => {
        try {
          step()
        } catch (error) {
          fail(error)
        }
      }
      attempt(() => {
        const { statusCode = 0 } = message
        if (options.auditID !== undefined) checkAuditID(message.headers, options.auditID)
        if (statusCode < 400) {
          throw new UpstreamError(
            'protocol',
            'BadGateway',
            `the API server responded to an upgrade request with status ${statusCode}`,
          )
        }
        checkResponse(statusCode, message.headers, options.isConnect)
        whenRecorded(statusCode, message, () =>
          attempt(() => {
            // It may have broken off in the meantime.
            if (message.destroyed) throw message.errored ?? new Error('the response broke off')
            const relayed = relayError(options, message)
            settled = true
            resolve(relayed)
          }),
        )
      })
    })
    exchange.onAbort((error) => {
      clearTimeout(timer)
      upstream.destroy(error)
      if (settled) return
      settled = true
      resolve({ code: CLIENT_CLOSED_REQUEST, abortedBy: 'client' })
    })
    upstream.end()
  })
}

function join(
  options: UpgradeOptions,
  message: IncomingMessage,
  sockets: Omit<TunnelSockets, 'client'>,
  effects: TunnelEffects,
): Tunnel {
  // First, since it may throw: once the socket is taken, no refusal can be sent.
  const fields = switchingHeaders(options, message.headers)
  const { socket, head } = options.exchange.takeSocket()
  if (!options.record.holdsResponse) options.record.responseStarted(101)
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n`, 'latin1')
  // Only now: bytes behind the request head must not reach a server that refused the upgrade.
  if (head.length > 0) socket.unshift(head)
  const { protocol } = options.handshake
  const chosen = chosenProtocol(protocol, message.headers)
  const notice = tunnelNotice(options.info, protocol, chosen)
  return joinTunnel({ client: socket, ...sockets, notice }, effects)
}

function outcomeOf(end: TunnelEnd): ForwardOutcome {
  return {
    code: 101,
    bytesReceived: end.bytesFromClient,
    bytesSent: end.bytesToClient,
    ...(end.clean ? {} : { abortedBy: end.endedBy }),
  }
}

function switchingHeaders(options: UpgradeOptions, upstream: UpstreamResponseHeaders): string {
  const { handshake } = options
  const headers = responseHeaders(
    { ...upstream, upgrade: undefined, connection: undefined },
    options.ownHeaders,
  )
  headers.push('Connection', 'Upgrade', 'Upgrade', handshake.protocol)
  let text = ''
  for (let i = 0; i < headers.length; i += 2)
    text += `${headers[i] ?? ''}: ${headers[i + 1] ?? ''}\r\n`
  return text
}

/**
 * Relays an error response within limits; then both connections close.
 *
 * @throws UpstreamError 502 for a head that cannot be forwarded
 */
function relayError(options: UpgradeOptions, message: IncomingMessage): Promise<ForwardOutcome> {
  const { exchange, record } = options
  const { response } = exchange
  const status = message.statusCode ?? 502
  response.writeHead(status, [
    ...responseHeaders({ ...message.headers, 'content-length': undefined }, options.ownHeaders),
    'Connection',
    'close',
  ])
  if (!record.holdsResponse) record.responseStarted(status)
  return new Promise((resolve) => {
    let left = MAX_ERROR_BYTES
    let aborted = false
    const timer = setTimeout(() => message.destroy(), ERROR_TIMEOUT_MS)
    message.on('data', (chunk: Buffer) => {
      left -= chunk.length
      if (left < 0) message.destroy()
      else response.write(chunk)
    })
    message.on('error', () => {
      aborted = true
    })
    message.once('close', () => {
      clearTimeout(timer)
      aborted ||= !message.complete
      if (aborted) response.destroy()
      else {
        response.end()
        closeWithin(exchange, ERROR_TIMEOUT_MS)
      }
      message.socket.destroy()
      resolve({ code: status, ...(aborted ? { abortedBy: 'upstream' as const } : {}) })
    })
  })
}
