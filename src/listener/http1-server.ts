/** HTTP/1.1 on the listener: requests, upgrades, CONNECT, and bytes that are no HTTP. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server } from 'node:https'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'

import type { ClientConnection } from '../http/exchange.ts'
import { StatusError, statusBody } from '../status.ts'
import { createGuard, guarded, type Guard } from './exception-guard.ts'
import {
  createHttp1Exchange,
  responseForUpgrade,
  type BreakableExchange,
} from './http1-exchange.ts'
import { framingProblem, upgradeProblem } from './http1-framing.ts'
import type { ListenerEffects, ServedConnection } from './served-connection.ts'

/** client-go does not pipeline; a few requests in a row wait their turn, a flood does not. */
const MAX_PIPELINED = 16
/** Milliseconds that a client has to take the answer to what was no request. */
const RAW_TAKEN_WITHIN = 5_000
const NO_CONNECT = 'CONNECT is not served here'

interface State {
  readonly connection: ClientConnection
  readonly guard: Guard
  /** Whether a request is being served. */
  busy: boolean
  /** Whether it is one of a user that is known. */
  recognised: boolean
  /** Since when none is, on the clock of `performance.now()`. */
  idleSince: number
  retired: boolean
  /** Whether the last answer has been given: nothing behind it is looked at. */
  ending: boolean
  /** The request begun last: bytes that are no HTTP belong to its body until that is whole. */
  last: { readonly message: IncomingMessage; readonly exchange: BreakableExchange } | undefined
  /** Pipelined requests, which wait until everything in front of them is answered. */
  readonly waiting: (readonly [IncomingMessage, ServerResponse])[]
}

/** Attaches the handlers once. The returned function prepares one connection. */
export function attachHttp1(
  server: Server,
  effects: ListenerEffects,
): (socket: TLSSocket, connection: ClientConnection) => ServedConnection {
  const { metrics, handle, onMalformed } = effects
  const states = new WeakMap<Duplex, State>()

  /** Answers what has no framing to rely on, and ends the connection. */
  const refuseRaw = (state: State, socket: Duplex, refusal: StatusError, code = refusal.code) => {
    onMalformed(state.connection, code, refusal.message)
    state.ending = true
    // With an answer under way, more bytes would be read as a part of it.
    if (state.busy) socket.destroy()
    else answerRaw(socket, refusal, code)
  }

  const occupy = (state: State, message: IncomingMessage, response: ServerResponse): void => {
    state.busy = true
    state.recognised = false
    if (state.retired) response.shouldKeepAlive = false
    const onClose = state.guard(() => {
      state.busy = false
      state.idleSince = performance.now()
      // RFC 9112 section 9.6: after `close` nothing more is processed, pipelined as it may be.
      if (state.last?.exchange.endsConnection === true) state.ending = true
      const next = state.ending || message.socket.destroyed ? undefined : state.waiting.shift()
      if (next !== undefined) serve(state, ...next)
      else if (state.retired) message.socket.end()
    })
    response.once('close', onClose)
  }

  const serve = (state: State, message: IncomingMessage, response: ServerResponse): void => {
    const problem = framingProblem(message)
    if (problem !== undefined) {
      refuseRaw(state, message.socket, new StatusError('BadRequest', problem))
      return
    }
    occupy(state, message, response)
    const { connection, guard } = state
    const onRecognised = recognises(state)
    const exchange = createHttp1Exchange({ message, response, connection, guard, onRecognised })
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
    socket.on('error', giveUp(socket))
    const state = states.get(message.socket)
    // An upgrade behind unanswered pipelined requests would hand their answers' socket away.
    // Behind a refused request the socket still belongs to that answer, and nothing more is looked at.
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
    occupy(state, message, response)
    const { connection, guard } = state
    const parts = { message, response, connection, guard, onRecognised: recognises(state) }
    handle(createHttp1Exchange({ ...parts, upgrade: { socket, head } }))
  }

  const onConnect = (message: IncomingMessage, socket: Duplex): void => {
    socket.on('error', giveUp(socket))
    const state = states.get(message.socket)
    if (state === undefined || state.ending) socket.destroy()
    else refuseRaw(state, message.socket, new StatusError('MethodNotAllowed', NO_CONNECT))
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
      // A body gone wrong: the request has a record of its own, and its answer if there is none yet.
      if (state.last.exchange.breakBody(refusal)) return
      // An early answer that is whole gets to the client; half of one ends here.
      if (!state.busy) socket.end(() => socket.destroy())
      else socket.destroy()
      return
    }
    // RFC 9110 section 15.5.9; the API machinery has no reason of its own for 408.
    const code = refusal.reason === 'Timeout' ? 408 : refusal.code
    refuseRaw(state, socket, refusal, code)
  }

  const socketOf = (message: IncomingMessage): Duplex => message.socket
  const guardedRequest = guarded(effects, onRequest, socketOf)
  server.on('request', guardedRequest)
  // Without these three, node answers 100 or 417 itself, before anybody has judged the request.
  server.on('checkContinue', guardedRequest)
  server.on('checkExpectation', guardedRequest)
  server.on('upgrade', guarded(effects, onUpgrade, socketOf))
  server.on('connect', guarded(effects, onConnect, socketOf))
  server.on(
    'clientError',
    guarded(effects, onClientError, (_error, socket) => socket),
  )

  return (socket, connection) => {
    const state: State = {
      connection,
      guard: createGuard(effects, socket),
      busy: false,
      recognised: false,
      idleSince: performance.now(),
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
      isIdle: () => !state.busy || !state.recognised,
      idleSince: () => (state.busy ? undefined : state.idleSince),
    }
  }
}

function recognises(state: State): () => void {
  return () => {
    state.recognised = true
  }
}

function giveUp(socket: Duplex): () => void {
  return () => {
    socket.destroy()
  }
}

function refusalFor(code: string | undefined): StatusError {
  const options = { closeConnection: true }
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new StatusError(
        'RequestHeaderFieldsTooLarge',
        'the request header is too large',
        options,
      )
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new StatusError('Timeout', 'the request header did not arrive in time', options)
    default:
      return new StatusError('BadRequest', 'the request is not valid HTTP/1.1', options)
  }
}

/** Answers without node's response machinery and gives the connection up. */
function answerRaw(socket: Duplex, refusal: StatusError, code: number = refusal.code): void {
  const body = statusBody(refusal, code)
  const timer = setTimeout(() => socket.destroy(), RAW_TAKEN_WITHIN)
  timer.unref()
  socket.once('close', () => clearTimeout(timer))
  socket.end(
    `HTTP/1.1 ${code} Refused\r\nContent-Type: application/json\r\nCache-Control: no-cache, private\r\n` +
      `X-Content-Type-Options: nosniff\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  )
}
