/** Sends a request over the transport that suits it, and relays the response. */
import { isConnect, isLongRunning } from '../request/long-running.ts'
import type { ClientWindow } from './client-window.ts'
import type { UpstreamFailures } from './failures.ts'
import type { ForwardOptions } from './forward-options.ts'
import type { IdentityNames } from './identity.ts'
import type { ForwardOutcome } from './outcome.ts'
import { Relay } from './relay.ts'
import { createRequestBody } from './request-body.ts'
import type { Stalls } from './stalls.ts'
import type { Transports } from './transports.ts'

export interface RelayRequestOptions {
  /** Milliseconds for the whole body of a short request. */
  readonly bodyTimeout: number
  readonly identityMode: IdentityNames['mode']
}

export interface RelayRequestEffects {
  readonly stalls: Stalls
  readonly openWindow: () => ClientWindow
  readonly failures: UpstreamFailures
}

/**
 * Sends a request, and its body as it arrives; resolves when the exchange has ended.
 *
 * @param headers from `headers.ts`
 * @throws StatusError as long as nothing was sent to the client
 */
export function relayRequest(
  forward: ForwardOptions,
  transports: Transports,
  headers: readonly string[],
  { bodyTimeout, identityMode }: RelayRequestOptions,
  { stalls, openWindow, failures }: RelayRequestEffects,
): Promise<ForwardOutcome> {
  const { exchange, authorized, target } = forward
  const { request } = exchange
  const longRunning = isLongRunning(authorized.info)
  const receiver = new Relay({
    exchange,
    ownHeaders: forward.ownHeaders,
    auditID: forward.auditID,
    info: authorized.info,
    isLongRunning: longRunning,
    isConnect: isConnect(authorized.info),
    record: forward.record,
    identityMode,
    onRefused: failures.failed,
    onTruncated: failures.truncated,
    stalls: longRunning ? undefined : stalls,
    window: openWindow(),
  })
  if (request.hasBody) {
    let stopLimit: (() => void) | undefined
    receiver.body = createRequestBody(exchange, {
      onClientGone: (error) => receiver.clientGone(error),
      // Not while the request waits for its turn: nothing of the body is read then.
      onBegin: () => {
        if (!longRunning) stopLimit = limitBody(receiver, bodyTimeout)
      },
      onDone: () => stopLimit?.(),
    })
  }
  forward.onCut?.((reason) => receiver.cut(reason))
  const transport = longRunning
    ? request.hasBody
      ? transports.longHttp1
      : transports.long
    : transports.short
  transport.send(
    {
      // A user who acts as many others has one share, as with the limits.
      user: (authorized.impersonator ?? authorized.user).username,
      method: request.method,
      path: target.raw,
      headers,
      contentLength: request.contentLength,
      body: receiver.body,
      isLongRunning: longRunning,
    },
    receiver,
  )
  return receiver.done
}

/**
 * A client that sends a byte now and then never stalls, and would hold a connection of the pool.
 *
 * @returns a function to call when the body has ended
 */
function limitBody(receiver: Relay, timeout: number): () => void {
  const timer = setTimeout(() => receiver.bodyTimedOut(), timeout).unref()
  const stop = (): void => clearTimeout(timer)
  receiver.done.then(stop, stop)
  return stop
}
