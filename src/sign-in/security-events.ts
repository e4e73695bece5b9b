import { createHash, timingSafeEqual } from 'node:crypto'

import type { AuditRecord } from '../audit/record.ts'
import type { Exchange } from '../http/exchange.ts'
import { inspectHeaders } from '../http/inspect.ts'
import type { Frame, Handled, Handler } from '../pipeline/frame.ts'
import type { SecurityEvent } from '../security-events/event-token.ts'
import { SetError } from '../security-events/set-error.ts'
import type { Sender, Transmitters } from '../security-events/transmitters.ts'
import { StatusError } from '../status.ts'
import { requirePost, respond } from './own-response.ts'
import { readBody } from './read-body.ts'
import { takeEvent, type TakeEventParts } from './take-event.ts'

export interface SecurityEventsOptions extends TakeEventParts {
  readonly ownHeaders: Frame['ownHeaders']
  readonly transmitters: Pick<Transmitters, 'senderOf'>
}

const TYPE = 'application/secevent+jwt'

/** Creates the handler to which transmitters push security events (RFC 8935). */
export function createSecurityEvents({
  ownHeaders,
  transmitters,
  ...parts
}: SecurityEventsOptions): Handler {
  async function verified(exchange: Exchange): Promise<SecurityEvent> {
    const token = await readToken(exchange)
    const sender = transmitters.senderOf(token)
    // Before the signature is looked at, which costs more.
    requireAuthorization(exchange, sender)
    const event = await sender.verify()
    exchange.recognized()
    return event
  }

  return async (exchange: Exchange, record: AuditRecord): Promise<Handled> => {
    requirePost(exchange)
    try {
      const facts = await takeEvent(record, parts, () => verified(exchange))
      return await respond(exchange, record, ownHeaders, {
        ...{ code: 202, headers: ['Cache-Control', 'no-store'], body: '', ...facts },
      })
    } catch (error) {
      throw error instanceof SetError ? refusalOf(error) : error
    }
  }
}

/** Rejects with SetError for a body that is not a token, or too large to be one. */
async function readToken(exchange: Exchange): Promise<string> {
  const { hasBody, isUpgrade } = exchange.request
  const [type = ''] = (exchange.header('content-type') ?? '').split(';', 1)
  if (type.trim().toLowerCase() !== TYPE || !hasBody || isUpgrade) {
    throw unread(`the body must be of the type ${TYPE}`)
  }
  try {
    return (await readBody(exchange)).toString('latin1')
  } catch (error) {
    throw error instanceof StatusError ? unread(error.message) : error
  }
}

/** What is left of the body must not be read as the next request. */
function unread(message: string): SetError {
  return new SetError('invalid_request', message, { closesConnection: true })
}

/** @throws SetError for a transmitter that does not push, and without the header that it must send */
function requireAuthorization(exchange: Exchange, { transmitter: { push } }: Sender): void {
  if (push === undefined)
    throw new SetError('access_denied', 'the transmitter does not push events')
  const { authorization: expected } = push
  if (expected === undefined) return
  const { authorization: sent = '' } = inspectHeaders(exchange.request.rawHeaders)
  // Of digests: the time says nothing about how much of it is right.
  if (timingSafeEqual(digestOf(sent), digestOf(expected))) return
  throw new SetError('authentication_failed', 'the Authorization header is missing or wrong')
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** RFC 8935 section 2.4. */
function refusalOf({ code, message, closesConnection }: SetError): StatusError {
  const body = `${JSON.stringify({ err: code, description: message })}\n`
  return new StatusError('BadRequest', `security event refused: ${message}`, {
    closeConnection: closesConnection,
    representation: {
      headers: [
        ...['Content-Type', 'application/json', 'Content-Language', 'en'],
        ...['Cache-Control', 'no-store'],
      ],
      body,
    },
  })
}
