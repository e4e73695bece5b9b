/** HTTP/1.1 on the listener: requests, upgrades, CONNECT, and bytes that are no HTTP. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Server } from 'node:https'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'

import type { ClientConnection, Exchange } from '../http/exchange.ts'
import type { Metrics } from '../metrics.ts'
import { StatusError, statusBody } from '../status.ts'
import { createHttp1Exchange, framingProblem, responseForUpgrade } from './http1.ts'

/** client-go does not pipeline; a few requests in a row are served, a flood is not. */
const MAX_PIPELINED = 16

interface Effects {
  readonly metrics: Metrics
  readonly handle: (exchange: Exchange) => void
  readonly onMalformed: (connection: ClientConnection, code: number, reason: string) => void
}

interface State {
  readonly connection: ClientConnection
  inFlight: number
  retired: boolean
}

/**
 * Attaches the handlers once. The returned function prepares one connection and gives the way to
 * retire it.
 */
export function attachHttp1(
  server: Server,
  { metrics, handle, onMalformed }: Effects,
): (socket: TLSSocket, connection: ClientConnection) => () => void {
  const states = new WeakMap<Duplex, State>()

  const begin = (message: IncomingMessage, response: ServerResponse): State | undefined => {
    const state = states.get(message.socket)
    if (state === undefined || state.inFlight >= MAX_PIPELINED) {
      message.socket.destroy()
      return undefined
    }
    state.inFlight += 1
    if (state.retired) response.shouldKeepAlive = false
    response.once('close', () => {
      state.inFlight -= 1
      if (state.retired && state.inFlight === 0) message.socket.end()
    })
    return state
  }

  const onRequest = (message: IncomingMessage, response: ServerResponse): void => {
    const state = begin(message, response)
    if (state === undefined) return
    const problem = framingProblem(message)
    if (problem !== undefined) {
      onMalformed(state.connection, 400, problem)
      answerRaw(message.socket, new StatusError('BadRequest', problem))
      return
    }
    handle(createHttp1Exchange({ message, response, connection: state.connection }))
  }

  const onUpgrade = (message: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on('error', () => socket.destroy())
    const state = states.get(message.socket)
    // An upgrade behind unanswered pipelined requests would hand their answers' socket away.
    if (state === undefined || state.inFlight > 0) {
      message.socket.destroy()
      return
    }
    const problem =
      framingProblem(message) ??
      (message.complete ? undefined : 'an upgrade request must not have a body')
    if (problem !== undefined) {
      onMalformed(state.connection, 400, problem)
      answerRaw(message.socket, new StatusError('BadRequest', problem))
      return
    }
    const response = responseForUpgrade(message)
    begin(message, response)
    handle(
      createHttp1Exchange({
        message,
        response,
        connection: state.connection,
        upgrade: { socket, head },
      }),
    )
  }

  server.on('request', onRequest)
  // Without these three, node answers 100 or 417 itself, before anybody has judged the request.
  server.on('checkContinue', onRequest)
  server.on('checkExpectation', onRequest)
  server.on('upgrade', onUpgrade)
  server.on('connect', (message: IncomingMessage, socket: Duplex) => {
    socket.on('error', () => socket.destroy())
    const state = states.get(message.socket)
    if (state !== undefined) onMalformed(state.connection, 405, 'CONNECT is not served here')
    answerRaw(message.socket, new StatusError('MethodNotAllowed', 'CONNECT is not served here'))
  })
  server.on('clientError', (error: Error & { code?: string }, socket: Duplex) => {
    const state = states.get(socket)
    if (error.code === 'ECONNRESET' || !socket.writable || state === undefined) {
      socket.destroy()
      return
    }
    metrics.connectionsRefused.inc({ reason: 'malformed' })
    const refusal = refusalFor(error.code)
    // RFC 9110 section 15.5.9; the API machinery has no reason of its own for 408.
    const code = refusal.reason === 'Timeout' ? 408 : refusal.code
    onMalformed(state.connection, code, refusal.message)
    // With an answer under way, more bytes would be read as a part of it.
    if (state.inFlight > 0) socket.destroy()
    else answerRaw(socket, refusal, code)
  })

  return (socket, connection) => {
    const state: State = { connection, inFlight: 0, retired: false }
    states.set(socket, state)
    return () => {
      state.retired = true
      if (state.inFlight === 0) socket.end()
    }
  }
}

function refusalFor(code: string | undefined): StatusError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new StatusError('RequestHeaderFieldsTooLarge', 'the request header is too large')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new StatusError('Timeout', 'the request header did not arrive in time')
    default:
      return new StatusError('BadRequest', 'the request is not valid HTTP/1.1')
  }
}

/** Answers without node's response machinery and gives the connection up. */
function answerRaw(socket: Duplex, refusal: StatusError, code: number = refusal.code): void {
  const body = statusBody(refusal, code)
  socket.end(
    `HTTP/1.1 ${code} Refused\r\nContent-Type: application/json\r\nCache-Control: no-cache, private\r\n` +
      `X-Content-Type-Options: nosniff\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  )
}
