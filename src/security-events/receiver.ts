/** Puts security events into effect. */
import { accountName, type Lock } from '../locks/lock.ts'
import type { LockStore } from '../locks/store.ts'
import { quote } from '../authentication/quote.ts'
import {
  accountKey,
  messageKey,
  revocationsOf,
  type Revocation,
} from '../revocations/revocation.ts'
import type { RevocationSet } from '../revocations/revocation-set.ts'
import { notKept, type RevocationStore } from '../revocations/store.ts'
import type { AccountSubject } from './event.ts'
import type { SecurityEvent } from './event-token.ts'
import type { EventSubject } from './subject.ts'

export interface EventReceiver {
  /**
   * Puts an event into effect.
   *
   * @throws StatusError 503 when it may not be kept; the transmitter may send it again
   */
  apply(event: SecurityEvent): Promise<AppliedEvent>
}

export interface AppliedEvent {
  readonly result: 'applied' | 'ignored' | 'duplicate'
  /** For the audit record, which has nothing else about it: which sign-ins were ended, or why nothing was. */
  readonly revocation: string
  /** The lock that was set or lifted. */
  readonly lock?: string
}

export interface EventReceiverOptions {
  /** How long the end of a sign-in is remembered, in milliseconds. */
  readonly lifetime: number
}

export interface EventReceiverEffects {
  readonly set: Pick<RevocationSet, 'get'>
  readonly store: Pick<RevocationStore, 'add'>
  readonly lockStore: Pick<LockStore, 'set' | 'lift'>
}

export function createEventReceiver(
  { lifetime }: EventReceiverOptions,
  { set, store, lockStore }: EventReceiverEffects,
): EventReceiver {
  type Account = SecurityEvent & { readonly account: AccountSubject }

  /** The event as a revocation that ends nothing: it counts once. */
  function onceOf({ transmitter, id, issuedAt, name }: SecurityEvent): Revocation {
    return {
      ...{ key: messageKey(transmitter, id), before: undefined },
      ...{ until: issuedAt + lifetime, event: name ?? 'event' },
    }
  }

  /** When the state of an account was last reported, so that an event that comes late changes nothing. */
  function stateOf(state: 'disabled' | 'enabled', { account, at, issuedAt }: Account): Revocation {
    const key = accountKey(state, account.issuer, account.user)
    return { key, before: at, until: issuedAt + lifetime, event: `account-${state}` }
  }

  function reportedAt(state: 'disabled' | 'enabled', event: Account): number {
    return set.get(stateOf(state, event).key)?.before ?? -Infinity
  }

  function ending(event: SecurityEvent, { issuer, user, session }: EventSubject) {
    const { at, name = 'event' } = event
    return revocationsOf(
      { issuer, subject: user, session, at, event: name },
      { now: Date.now(), lifetime },
    )
  }

  async function end(event: SecurityEvent, subject: EventSubject): Promise<AppliedEvent> {
    const revocations = ending(event, subject)
    const isNew = await store.add({ revocations, once: onceOf(event) })
    return isNew ? { result: 'applied', revocation: ended(event, subject) } : duplicate(event)
  }

  async function disable(event: Account): Promise<AppliedEvent> {
    const { account } = event
    const revocations = [...ending(event, account), stateOf('disabled', event)]
    // Before the lock, so that `enable` knows of it. The event itself counts as received after the lock: until
    // then, the transmitter may send it again.
    await store.add({ revocations })
    const revocation = ended(event, account)
    if (reportedAt('enabled', event) > event.at) {
      await store.add({ revocations: [], once: onceOf(event) })
      return { result: 'applied', revocation: `${revocation}; the account was enabled later` }
    }
    await lock(event)
    await store.add({ revocations: [], once: onceOf(event) })
    return { result: 'applied', revocation, lock: `set: ${describeAccount(account)}` }
  }

  async function lock(event: Account): Promise<void> {
    try {
      await lockStore.set(lockOf(event), () => undefined)
    } catch (error) {
      throw notKept('the account could not be locked', error)
    }
  }

  async function enable(event: Account): Promise<AppliedEvent> {
    const { account, at } = event
    const wasDisabledLater = (): boolean => reportedAt('disabled', event) >= at
    const why = 'the account was disabled later'
    // At once, so that one that is replayed at another replica lifts nothing.
    const isNew = await store.add({
      ...{ revocations: [stateOf('enabled', event)], once: onceOf(event) },
    })
    if (!isNew) return duplicate(event)
    if (wasDisabledLater()) return ignored(event, why)
    // Only events set such a lock, and only one transmitter may send them for this issuer.
    const { target, name } = lockOf(event)
    const wasLifted = await lockStore.lift(target, name, () => undefined)
    if (wasDisabledLater()) {
      // While the lock was being lifted.
      await lock(event)
      return ignored(event, why)
    }
    const what = described(event, describeAccount(account))
    if (!wasLifted) return { result: 'ignored', revocation: `${what}: it has no lock of an event` }
    return { result: 'applied', revocation: what, lock: `lifted: ${describeAccount(account)}` }
  }

  return {
    async apply(event) {
      if (set.get(onceOf(event).key) !== undefined) return duplicate(event)
      const { effect } = event
      switch (effect.kind) {
        case 'end':
          return end(event, effect.subject)
        case 'disable':
          return disable({ ...event, account: effect.subject })
        case 'enable':
          return enable({ ...event, account: effect.subject })
        case 'none':
          return ignored(event, effect.why)
      }
    },
  }
}

function lockOf({
  account: { issuer, user },
  transmitter,
}: SecurityEvent & { readonly account: AccountSubject }): Lock {
  return {
    ...{ target: 'disabledAccount', name: accountName(issuer, user), until: undefined },
    reason: 'The account was disabled at the identity provider.',
    actor: `security events of ${transmitter}`,
  }
}

function ignored(event: SecurityEvent, why: string): AppliedEvent {
  return { result: 'ignored', revocation: described(event, why) }
}

function duplicate(event: SecurityEvent): AppliedEvent {
  return { result: 'duplicate', revocation: described(event, 'it was received before') }
}

function ended(event: SecurityEvent, { issuer, user, session }: EventSubject): string {
  const whose = user === undefined ? '' : ` of user ${quote(user)}`
  const what = session === undefined ? `all sessions${whose}` : `session ${quote(session)}${whose}`
  return described(event, `ended: ${what} at ${quote(issuer)}`)
}

function described({ name, id }: SecurityEvent, what: string): string {
  return `${name ?? 'event'} ${quote(id)}: ${what}`
}

function describeAccount({ issuer, user }: AccountSubject): string {
  return `account ${quote(user)} at ${quote(issuer)}`
}
