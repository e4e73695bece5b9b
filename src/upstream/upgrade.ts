/**
 * Upgrades (exec, attach, port-forward, WebSocket watch): a new connection each, never pooled. Only a
 * 101 that grants what was requested joins the two sides; any other response is relayed, and both
 * connections close (CVE-2018-1002105, CVE-2020-8559).
 */
import { request as httpsRequest } from 'node:https'
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Duplex, Readable } from 'node:stream'
import type { TLSSocket } from 'node:tls'

import { connectTls } from '../cluster/connect.ts'
import type { ConnectionLimits, UpstreamEndpoint } from '../cluster/endpoint.ts'
import type { Exchange, RawHeaders } from '../http/exchange.ts'
import type { RequestInfo } from '../request/types.ts'
import { StatusError } from '../status.ts'
import { checkAuditID } from './audit-id.ts'
import { tunnelNotice } from './end-notice.ts'
import { neverConnected, toUpstreamError, unusableResponse, UpstreamError } from './errors.ts'
import { NOT_RECORDED, type ForwardRecord } from './forward-record.ts'
import { CLIENT_CLOSED_REQUEST, type ForwardOutcome } from './outcome.ts'
import { checkResponse, responseHeaders, type UpstreamResponseHeaders } from './response-headers.ts'
import { Landing } from './landing.ts'
import { joinTunnel, type Tunnel, type TunnelEnd } from './tunnel.ts'
import type { TunnelEffects } from './tunnel-side.ts'
import { checkSwitchingProtocols, chosenProtocol, type Handshake } from './upgrade-handshake.ts'
import { relayUpgradeRefusal } from './upgrade-refusal.ts'

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
export async function forwardUpgrade(
  options: UpgradeOptions,
  effects: TunnelEffects,
): Promise<ForwardOutcome> {
  return new Upgrade(options, effects).outcome
}

/** One upgrade, until its two connections are joined or it has failed. */
class Upgrade {
  readonly outcome: Promise<ForwardOutcome>
  readonly #options: UpgradeOptions
  readonly #effects: TunnelEffects
  readonly #landing = new Landing()
  readonly #request: ClientRequest
  readonly #headTimer: NodeJS.Timeout
  /** Until then, nothing was sent. */
  #isConnected = false
  #isSettled = false
  #tunnel: Tunnel | undefined
  /** Drops a response that waits for its audit event. */
  #withhold: ((cause: string) => void) | undefined
  #resolve!: (outcome: ForwardOutcome | Promise<ForwardOutcome>) => void
  #reject!: (error: StatusError) => void

  constructor(options: UpgradeOptions, effects: TunnelEffects) {
    this.#options = options
    this.#effects = effects
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#request = this.#openRequest()
    this.#headTimer = setTimeout(() => {
      const message = 'the API server did not respond in time'
      this.#request.destroy(new UpstreamError('timeout', 'Timeout', message))
    }, options.limits.responseHeaderTimeout)
    options.onCut?.((reason) => this.#cut(reason))
    this.#request.on('error', (error) =>
      this.#fail(this.#isConnected ? error : neverConnected(error)),
    )
    // All interim (1xx) responses together are limited by the header timeout, each by MAX_UPGRADE_HEAD.
    this.#request.on('upgrade', (message, socket, head) => this.#granted(message, socket, head))
    this.#request.on('response', (message) => this.#refused(message))
    options.exchange.onAbort((error) => this.#clientGone(error))
    this.#request.end()
  }

  #openRequest(): ClientRequest {
    const { exchange, path, handshake } = this.#options
    const { method } = exchange.request
    const headers = [...this.#options.headers, ...handshake.headers]
    // Node would announce a chunked body for a POST without a length (SPDY handshakes are POSTs).
    if (method !== 'GET') headers.push('content-length', '0')
    return httpsRequest({
      // No `agent`, not even `false`: an agent would open the connection itself.
      createConnection: () => this.#connect(),
      method,
      path,
      headers: headers as unknown as Record<string, string>,
      setHost: false,
      maxHeaderSize: MAX_UPGRADE_HEAD,
    })
  }

  #connect(): TLSSocket {
    const { endpoint, limits, record, identityMode } = this.#options
    const socket = connectTls(endpoint, limits, {
      protocols: ['http/1.1'],
      // The tunnel forwards a half-close.
      allowHalfOpen: true,
      onread: this.#landing.onread,
    })
    this.#landing.attach(socket)
    socket.once('secureConnect', () => {
      this.#isConnected = true
      record.identityAsserted(identityMode)
    })
    return socket
  }

  /** Ends the handshake or the tunnel from Gatehouse's side. */
  #cut(reason: StatusError): void {
    if (this.#tunnel !== undefined) this.#tunnel.cut(reason)
    else if (this.#withhold === undefined) this.#fail(reason)
    else this.#withhold(reason.message)
  }

  #fail(error: unknown): void {
    clearTimeout(this.#headTimer)
    this.#request.destroy()
    if (this.#isSettled) return
    this.#isSettled = true
    this.#reject(error instanceof StatusError ? error : toUpstreamError(error))
  }

  #settle(outcome: ForwardOutcome | Promise<ForwardOutcome>): void {
    this.#isSettled = true
    this.#resolve(outcome)
  }

  #clientGone(error: Error): void {
    clearTimeout(this.#headTimer)
    this.#request.destroy(error)
    if (!this.#isSettled) this.#settle({ code: CLIENT_CLOSED_REQUEST, abortedBy: 'client' })
  }

  /** The API server has switched protocols. */
  #granted(message: IncomingMessage, socket: Duplex, head: Buffer): void {
    clearTimeout(this.#headTimer)
    if (this.#isSettled) {
      socket.destroy()
      return
    }
    const attempt = (step: () => void): void => {
      try {
        step()
      } catch (error) {
        socket.destroy()
        this.#fail(error)
      }
    }
    attempt(() => {
      const { auditID, handshake } = this.#options
      if (auditID !== undefined) checkAuditID(message.headers, auditID)
      checkSwitchingProtocols(handshake, message.headers)
      // At once: behind the end of the stream it would be too late.
      if (head.length > 0) socket.unshift(head)
      this.#whenRecorded(101, socket, () => attempt(() => this.#join(message, socket)))
    })
  }

  #join(message: IncomingMessage, upstream: Duplex): void {
    const { exchange, record, handshake, info } = this.#options
    // First, since it may throw: once the socket is taken, no refusal can be sent.
    const fields = switchingHeaders(this.#options, message.headers)
    const { socket: client, head } = exchange.takeSocket()
    if (!record.holdsResponse) record.responseStarted(101)
    client.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n`, 'latin1')
    // Only now: bytes behind the request head must not reach a server that refused the upgrade.
    if (head.length > 0) client.unshift(head)
    const { protocol } = handshake
    const notice = tunnelNotice(info, protocol, chosenProtocol(protocol, message.headers))
    const sockets = { client, upstream, landing: this.#landing, notice }
    this.#tunnel = joinTunnel(sockets, this.#effects)
    this.#settle(this.#tunnel.done.then(outcomeOf))
  }

  /** The API server has responded without switching protocols. */
  #refused(message: IncomingMessage): void {
    clearTimeout(this.#headTimer)
    if (this.#isSettled) return
    const attempt = (step: () => void): void => {
      try {
        step()
      } catch (error) {
        this.#fail(error)
      }
    }
    attempt(() => {
      const { auditID, isConnect } = this.#options
      const { statusCode = 0 } = message
      if (auditID !== undefined) checkAuditID(message.headers, auditID)
      if (statusCode < 400) {
        throw unusableResponse(
          `the API server responded to an upgrade request with status ${statusCode}`,
        )
      }
      checkResponse(statusCode, message.headers, isConnect)
      this.#whenRecorded(statusCode, message, () =>
        attempt(() => {
          // It may have broken off in the meantime.
          if (message.destroyed) throw message.errored ?? new Error('the response broke off')
          this.#settle(relayUpgradeRefusal(message, this.#options))
        }),
      )
    })
  }

  /** Goes on once the event of the response is in the kernel, where the mode of the audit log demands it. */
  #whenRecorded(code: number, received: Readable, proceed: () => void): void {
    const { exchange, record } = this.#options
    if (!record.holdsResponse) {
      proceed()
      return
    }
    received.on('error', () => undefined)
    this.#withhold = (cause) => {
      received.destroy()
      if (this.#isSettled) return
      this.#settle({ code, abortedBy: 'gatehouse', cause })
      exchange.response.destroy()
    }
    record.responseStarted(code)
    const recorded = record.recorded ?? Promise.resolve(false)
    void recorded.then((isRecorded) => {
      if (this.#isSettled || !isRecorded) this.#withhold?.(NOT_RECORDED)
      else proceed()
    })
  }
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
