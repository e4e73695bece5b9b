/** Puts security events into effect that Gatehouse has fetched, with an audit event for each. */
import { malformedRequest } from '../audit/malformed-request.ts'
import type { Auditor, AuditRecord } from '../audit/record.ts'
import { unrecorded } from '../audit/unrecorded.ts'
import { causeOf } from '../http/refusal.ts'
import { throttledLog } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import type { PollerEffects, Verdict } from '../security-events/poller.ts'
import { SetError } from '../security-events/set-error.ts'
import type { Sender } from '../security-events/transmitters.ts'
import { takeEvent, type TakeEventParts } from '../sign-in/take-event.ts'
import { StatusError } from '../status.ts'

export interface PolledEventsParts extends TakeEventParts {
  readonly auditor: Pick<Auditor, 'open'>
  /** @throws SetError */
  readonly senderOf: (token: string) => Sender
  readonly log: Log
}

/** Returns what takes the events that a transmitter has. */
export function takePolledEvents(
  transmitter: string,
  { auditor, senderOf, log, ...parts }: PolledEventsParts,
): PollerEffects['take'] {
  const throttled = throttledLog(log)

  /** @throws SetError */
  function ownSender(token: string): Sender {
    const sender = senderOf(token)
    if (sender.transmitter.options.issuer === transmitter) return sender
    throw new SetError('invalid_issuer', `the event is not one of ${transmitter}`)
  }

  async function take(token: string, id: string, record: AuditRecord): Promise<Verdict> {
    try {
      const facts = await takeEvent(record, parts, async () => {
        const event = await ownSender(token).verify()
        if (event.id === id) return event
        throw new SetError('invalid_request', 'jti is not the ID by which the event was sent')
      })
      record.close({ code: 202, ...facts, ...NO_BYTES })
      // The transmitter forgets what is acknowledged.
      if ((await record.recorded) === false) throw unrecorded()
      return 'taken'
    } catch (error) {
      const isRefused = error instanceof SetError
      const { message, cause } = error as Error
      record.close({
        code: isRefused ? 400 : 503,
        reason: isRefused ? 'BadRequest' : 'ServiceUnavailable',
        message: isRefused ? `security event refused: ${message}` : message,
        ...(cause instanceof Error ? { cause: causeOf(cause) } : {}),
        ...NO_BYTES,
      })
      if (isRefused) {
        // The transmitter does not send it again.
        const { code } = error
        throttled.warn({ transmitter, code, reason: message }, 'a security event was refused')
        return error
      }
      if (!(error instanceof StatusError)) throw error
      return 'later'
    }
  }

  return async (token, id) => {
    try {
      const record = auditor.open(PLACEHOLDER, performance.now())
      record.servedHere()
      return await take(token, id, record)
    } catch (err) {
      throttled.error({ err, transmitter }, 'a security event could not be taken')
      return 'later'
    }
  }
}

const NO_BYTES = { bytesReceived: 0, bytesSent: 0 } as const

/** Events that were fetched have no client. */
const PLACEHOLDER = {
  ...malformedRequest({
    ...{ remoteAddress: '', remotePort: 0, peerCertificate: undefined },
    retire: () => undefined,
  }),
  method: 'POST',
  rawTarget: '/gatehouse/security-events',
}
