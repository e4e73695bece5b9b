/** HTTP/1.1 on the listener: requests, upgrades, CONNECT, and malformed input. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server } from 'node:https'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'

import type { ClientConnection } from '../http/exchange.ts'
import { StatusError, statusBody } from '../status.ts'
import { createGuard, guarded, type Guard } from './exception-guard.ts'
import { endAndDiscard } from './http1-early-bytes.ts'
import {
  createHttp1Exchange,
  responseForUpgrade,
  type BreakableExchange,
} from './http1-exchange.ts'
import { framingProblem, upgradeProblem } from './http1-framing.ts'
import { headerTooLarge } from './header-too-large.ts'
import type { Http2Limits } from './http2-server.ts'
import type { ListenerEffects, ServedConnection } from './served-connection.ts'

/** client-go does not pipeline. A few pipelined requests are queued; more close the connection. */
const MAX_PIPELINED = 16
const CONNECT_REFUSED = 'the method CONNECT is not supported'

interface State {
  readonly connection: ClientConnection
  readonly guard: Guard
  /** Whether a request is being served. */
  busy: boolean
  /** Whether the user of that request is authenticated. */
  authenticated: boolean
  /** `performance.now()` when the last request ended. */
  idleSince: number
  /** `bytesRead` of the socket at that time. */
  readBefore: number
  retired: boolean
  /** Whether the last response has begun: what follows is not processed. */
  ending: boolean
  /** The latest request: malformed bytes belong to its body until that is complete. */
  last: { readonly message: IncomingMessage; readonly exchange: BreakableExchange } | undefined
  /** Pipelined requests, which wait for the responses to earlier ones. */
  readonly waiting: (readonly [IncomingMessage, ServerResponse])[]
}

/** Beyond the header, node keeps as much of the body as a chunk of TLS and a stream's buffer hold. */
const MAX_KEPT_BODY = 131_072

/** Attaches the handlers to the server. @returns a function that prepares one connection */
export function attachHttp1(
  server: Server,
  { maxHeaderBytes }: Pick<Http2Limits, 'maxHeaderBytes'>,
  effects: ListenerEffects,
): (socket: TLSSocket, connection: ClientConnection) => ServedConnection {
  const { metrics, handle, onMalformed } = effects
  const states = new WeakMap<Duplex, State>()
  const maxKept = maxHeaderBytes + MAX_KEPT_BODY

  /** Responds to input without reliable framing, and closes the connection. */
  const refuseRaw = (state: State, socket: Duplex, refusal: StatusError, code = refusal.code) => {
    onMalformed(state.connection, code, refusal.message)
    state.ending = true
    // While a response is being sent, more bytes would be read as a part of it.
    if (state.busy) socket.destroy()
    else sendRawRefusal(socket, refusal, code)
  }

  /** @returns what to call at the end of the response */
  const occupy = (
    state: State,
    message: IncomingMessage,
    response: ServerResponse,
  ): (() => void) => {
    state.busy = true
    state.authenticated = false
    if (state.retired) response.shouldKeepAlive = false
    return () => {
      state.busy = false
      state.idleSince = performance.now()
      state.readBefore = message.socket.bytesRead
      // RFC 9112 section 9.6: after `close` no more requests are processed, not even pipelined ones.
      if (state.last?.exchange.endsConnection === true) state.ending = true
      // An idle connection must not keep the credential in its last request. A partial body may still be malformed.
      if (message.complete) state.last = undefined
      const next = state.ending || message.socket.destroyed ? undefined : state.waiting.shift()
      if (next !== undefined) serve(state, ...next)
      else if (state.retired) message.socket.end()
    }
  }

  const serve = (state: State, message: IncomingMessage, response: ServerResponse): void => {
    const problem = framingProblem(message)
    if (problem !== undefined) {
      refuseRaw(state, message.socket, new StatusError('BadRequest', problem))
      return
    }
    const onClosed = occupy(state, message, response)
    const { connection, guard } = state
    const onAuthenticated = authenticates(state)
    const parts = { message, response, connection, guard, onAuthenticated, onClosed }
    const exchange = createHttp1Exchange(parts)
    state.last = { message, exchange }
    handle(exchange)
  }

  const refusePipelined = ({ socket }: IncomingMessage): void => {
    metrics.connectionsRefused.inc({ reason: 'pipelined' })
    socket.destroy()
  }

  const onRequest = (message: IncomingMessage, response: ServerResponse): void => {
    const state = states.get(message.socket)
    if (state === undefined || state.waiting.length >= MAX_PIPELINED) refusePipelined(message)
    else if (state.busy) state.waiting.push([message, response])
    else if (!state.ending) serve(state, message, response)
  }

  const onUpgrade = (message: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on('error', () => socket.destroy())
    const state = states.get(message.socket)
    // After pipelined requests without a response, an upgrade would take over their socket. After a
    // refused request, the socket still belongs to its response, and nothing more is processed.
    if (state === undefined || state.busy || state.ending) {
      refusePipelined(message)
      return
    }
    const problem = framingProblem(message) ?? upgradeProblem(message)
    if (problem !== undefined) {
      refuseRaw(state, message.socket, new StatusError('BadRequest', problem))
      return
    }
    const response = responseForUpgrade(message)
    const onClosed = occupy(state, message, response)
    const { connection, guard } = state
    const onAuthenticated = authenticates(state)
    const parts = { message, response, connection, guard, onAuthenticated, onClosed }
    handle(createHttp1Exchange({ ...parts, upgrade: { socket, head } }))
  }

  const onConnect = (message: IncomingMessage, socket: Duplex): void => {
    socket.on('error', () => socket.destroy())
    const state = states.get(message.socket)
    if (state === undefined || state.ending) socket.destroy()
    else refuseRaw(state, message.socket, new StatusError('MethodNotAllowed', CONNECT_REFUSED))
  }

  const onClientError = (error: Error & { code?: string }, socket: Duplex): void => {
    const state = states.get(socket)
    if (error.code === 'ECONNRESET' || !socket.writable || state === undefined) {
      socket.destroy()
      return
    }
    metrics.connectionsRefused.inc({ reason: 'malformed' })
    const refusal = refusalFor(error.code)
    if (state.last?.message.complete === false) {
      // A malformed body: the request has its own record, and gets the refusal if it has no response yet.
      if (state.last.exchange.breakBody(refusal)) return
      // A complete early response still reaches the client; a partial one is aborted.
      if (!state.busy) socket.end(() => socket.destroy())
      else socket.destroy()
      return
    }
    // RFC 9110 section 15.5.9; apimachinery has no reason for 408.
    const code = refusal.reason === 'Timeout' ? 408 : refusal.code
    refuseRaw(state, socket, refusal, code)
  }

  const socketOf = (message: IncomingMessage): Duplex => message.socket
  const guardedRequest = guarded(onRequest, socketOf, effects)
  server.on('request', guardedRequest)
  // Without these two, node itself responds with 100 or 417 before the request is checked.
  server.on('checkContinue', guardedRequest)
  server.on('checkExpectation', guardedRequest)
  server.on('upgrade', guarded(onUpgrade, socketOf, effects))
  server.on('connect', guarded(onConnect, socketOf, effects))
  server.on(
    'clientError',
    guarded(onClientError, (_error, socket) => socket, effects),
  )

  return (socket, connection) => {
    const state: State = {
      connection,
      guard: createGuard(socket, effects),
      busy: false,
      authenticated: false,
      idleSince: performance.now(),
      readBefore: socket.bytesRead,
      retired: false,
      ending: false,
      last: undefined,
      waiting: [],
    }
    states.set(socket, state)
    return {
      retire() {
        state.retired = true
        if (!state.busy) socket.end()
      },
      isIdle: () => !state.busy || !state.authenticated,
      idleSince: () => (state.busy ? undefined : state.idleSince),
      unauthenticatedBytes() {
        // What arrives after the last response is discarded.
        if (state.ending || (state.busy && state.authenticated)) return 0
        return Math.min(socket.bytesRead - state.readBefore, maxKept)
      },
    }
  }
}

function authenticates(state: State): () => void {
  return () => {
    state.authenticated = true
  }
}

function refusalFor(code: string | undefined): StatusError {
  const options = { closeConnection: true }
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return headerTooLarge()
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new StatusError('Timeout', 'the request header did not arrive in time', options)
    default:
      return new StatusError('BadRequest', 'the request is not valid HTTP/1.1', options)
  }
}

/** Responds without node's `ServerResponse`, and closes the connection. */
function sendRawRefusal(socket: Duplex, refusal: StatusError, code: number = refusal.code): void {
  const body = statusBody(refusal, code)
  endAndDiscard(
    socket,
    `HTTP/1.1 ${code} Refused\r\nContent-Type: application/json\r\nCache-Control: no-cache, private\r\n` +
      `X-Content-Type-Options: nosniff\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
