import type { AuditRecord } from '../audit/record.ts'
import { ISSUER_ANNOTATION } from '../authentication/oidc/oidc.ts'
import type { SecurityEvent } from '../security-events/event-token.ts'
import type { AppliedEvent, EventReceiver } from '../security-events/receiver.ts'
import { SetError } from '../security-events/set-error.ts'
import { StatusError } from '../status.ts'
import { recordChange } from './own-response.ts'

export interface TakeEventParts {
  readonly receiver: EventReceiver
  /**
   * @param event its name, or `other`
   * @param error why it was refused or has failed
   */
  readonly onResult: (
    event: string,
    result: AppliedEvent['result'] | 'refused' | 'failed',
    error?: unknown,
  ) => void
}

/**
 * Verifies a security event and puts it into effect, as the audit mode wants it. Returns what the audit
 * record is to say about it.
 *
 * @param verify rejects with SetError for an event that is not valid
 * @throws what `verify` does; StatusError 503 when the transmitter is to send the event again
 */
export async function takeEvent(
  record: AuditRecord,
  { receiver, onResult }: TakeEventParts,
  verify: () => Promise<SecurityEvent>,
): Promise<Pick<AppliedEvent, 'lock' | 'revocation'>> {
  let name = 'other'
  try {
    const event = await verify()
    name = event.name ?? name
    recognize(event, record)
    await recordChange(record)
    const { result, ...facts } = await receiver.apply(event)
    onResult(name, result)
    return facts
  } catch (error) {
    onResult(name, isRefusal(error) ? 'refused' : 'failed', error)
    throw error
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof SetError || (error instanceof StatusError && error.code < 500)
}

/** The transmitter is who acts: its event is never among those that stand for many of unauthenticated clients. */
function recognize({ transmitter }: SecurityEvent, record: AuditRecord): void {
  record.authenticated({
    user: { username: transmitter, uid: '', groups: [], extra: {} },
    method: 'security-event',
    annotations: { [ISSUER_ANNOTATION]: transmitter },
  })
}
