import { beforeEach, describe, expect, test } from 'vitest'

import type { Lock } from '../../src/locks/lock.ts'
import { createMemoryRevocationStore } from '../../src/revocations/memory-store.ts'
import { createRevocationSet, type RevocationSet } from '../../src/revocations/revocation-set.ts'
import { keysOf } from '../../src/revocations/revocations.ts'
import type { RevocationStore } from '../../src/revocations/store.ts'
import { readEvent, type Effect } from '../../src/security-events/event.ts'
import type { SecurityEvent } from '../../src/security-events/event-token.ts'
import { createEventReceiver, type EventReceiver } from '../../src/security-events/receiver.ts'
import { StatusError } from '../../src/status.ts'

const ISSUER = 'https://idp.example.com'
const LIFETIME = 3_600_000
const NOW = Date.now()

let set: RevocationSet
let store: RevocationStore
let locks: Map<string, Lock>
/** Called before a lock is set or lifted. */
let onLockStore: () => void
let receiver: EventReceiver
let ids = 0

beforeEach(() => {
  set = createRevocationSet({ now: Date.now, onChanged: () => undefined })
  store = createMemoryRevocationStore({ maxEntries: 100 }, { set, onSize: () => undefined })
  locks = new Map()
  onLockStore = () => undefined
  receiver = createEventReceiver({ lifetime: LIFETIME }, { set, store, lockStore })
})

const lockStore = {
  async set(lock: Lock) {
    onLockStore()
    locks.set(lock.name, lock)
  },
  async lift(_: string, name: string) {
    onLockStore()
    return locks.delete(name)
  },
}

function event(kind: Effect['kind'], at: number, more: Partial<SecurityEvent> = {}): SecurityEvent {
  const subject = { issuer: ISSUER, user: 'ada', session: undefined }
  const names = { end: 'session-revoked', disable: 'account-disabled', enable: 'account-enabled' }
  return {
    ...{ transmitter: ISSUER, id: `event-${++ids}`, issuedAt: at, at },
    name: kind === 'none' ? 'verification' : (names[kind] as SecurityEvent['name']),
    effect: kind === 'none' ? { kind, why: 'the stream was verified' } : { kind, subject },
    ...more,
  }
}

const ACCOUNT = `${ISSUER} ada`

function isEnded(issuedAt: number, session?: string): boolean {
  const keys = keysOf({ issuer: ISSUER, subject: 'ada', session })
  return set.find(keys, issuedAt) !== undefined
}

test('an end is one for earlier tokens, and for no later ones', async () => {
  expect(await receiver.apply(event('end', NOW, { id: 'e-1' }))).toEqual({
    result: 'applied',
    revocation: `session-revoked "e-1": ended: all sessions of user "ada" at "${ISSUER}"`,
  })
  expect([isEnded(NOW - 1), isEnded(NOW), isEnded(NOW + 1)]).toEqual([true, true, false])
  expect(locks.size).toBe(0)
})

test('an end is remembered from when it was received, since certificates were issued until then', async () => {
  await receiver.apply(event('end', NOW - LIFETIME + 1_000, { issuedAt: NOW }))
  const { subject } = keysOf({ issuer: ISSUER, subject: 'ada', session: undefined })
  expect(set.get(subject)?.until).toBeGreaterThanOrEqual(NOW + LIFETIME)
})

test('an event counts once', async () => {
  const first = event('end', NOW - 1_000)
  expect((await receiver.apply(first)).result).toBe('applied')
  // The same one, which a transmitter that does not sign would date anew.
  expect((await receiver.apply({ ...first, at: NOW })).result).toBe('duplicate')
  expect(isEnded(NOW)).toBe(false)
})

test('the same ID of two transmitters is two events', async () => {
  await receiver.apply(event('end', NOW - 1_000, { id: 'e' }))
  const other = event('end', NOW, { id: 'e', transmitter: 'https://second.example' })
  expect((await receiver.apply(other)).result).toBe('applied')
})

test('an event without an effect is remembered nowhere', async () => {
  expect(await receiver.apply(event('none', NOW, { id: 'v' }))).toEqual({
    result: 'ignored',
    revocation: 'verification "v": the stream was verified',
  })
  expect(set.size).toBe(0)
})

describe('a disabled account', () => {
  test('is locked, and its sign-ins have ended', async () => {
    expect(await receiver.apply(event('disable', NOW))).toMatchObject({
      result: 'applied',
      lock: `set: account "ada" at "${ISSUER}"`,
    })
    expect(isEnded(NOW)).toBe(true)
    expect([...locks.values()]).toEqual([
      {
        ...{ target: 'disabledAccount', name: ACCOUNT, until: undefined },
        reason: 'The account was disabled at the identity provider.',
        actor: `security events of ${ISSUER}`,
      },
    ])
  })

  test('has no sessions any more, even if the event names one', async () => {
    const effect = readEvent(
      'account-disabled',
      {},
      {
        ...{ format: 'complex', user: { format: 'iss_sub', iss: ISSUER, sub: 'ada' } },
        session: { format: 'opaque', id: 's-1' },
      },
      [ISSUER],
    )
    await receiver.apply(event('disable', NOW, { effect }))
    expect([isEnded(NOW, 's-1'), isEnded(NOW, 's-2')]).toEqual([true, true])
  })

  test('is unlocked when it is enabled; its earlier sign-ins have still ended', async () => {
    await receiver.apply(event('disable', NOW - 2_000))
    expect(await receiver.apply(event('enable', NOW - 1_000))).toMatchObject({
      result: 'applied',
      lock: `lifted: account "ada" at "${ISSUER}"`,
    })
    expect(locks.size).toBe(0)
    expect([isEnded(NOW - 2_000), isEnded(NOW)]).toEqual([true, false])
  })

  test('stays locked after an earlier event that it was enabled, and after one of the same second', async () => {
    await receiver.apply(event('disable', NOW))
    for (const at of [NOW - 1_000, NOW]) {
      expect((await receiver.apply(event('enable', at))).result).toBe('ignored')
    }
    expect(locks.size).toBe(1)
  })

  test('is not locked again by an event that comes late, but earlier sign-ins end', async () => {
    await receiver.apply(event('enable', NOW))
    const late = await receiver.apply(event('disable', NOW - 1_000))
    expect(late.lock).toBeUndefined()
    expect(late.revocation).toContain('the account was enabled later')
    expect(locks.size).toBe(0)
    expect([isEnded(NOW - 1_000), isEnded(NOW)]).toEqual([true, false])
  })

  test('stays locked when it was disabled while the lock of earlier times was lifted', async () => {
    await receiver.apply(event('disable', NOW - 3_000))
    let again: Promise<unknown> | undefined
    onLockStore = () => {
      onLockStore = () => undefined
      again = receiver.apply(event('disable', NOW))
    }
    expect((await receiver.apply(event('enable', NOW - 1_000))).result).toBe('ignored')
    await again
    expect(locks.size).toBe(1)
  })

  test('ends sign-ins even if the lock cannot be set, and can then be sent again', async () => {
    onLockStore = () => {
      throw new StatusError('TooManyRequests', 'too many locks')
    }
    const disable = event('disable', NOW)
    await expect(receiver.apply(disable)).rejects.toMatchObject({ code: 503 })
    expect(isEnded(NOW)).toBe(true)
    onLockStore = () => undefined
    expect((await receiver.apply(disable)).result).toBe('applied')
    expect(locks.size).toBe(1)
    expect((await receiver.apply(disable)).result).toBe('duplicate')
  })

  test('a replay of an event that enabled it lifts nothing', async () => {
    const enable = event('enable', NOW)
    await receiver.apply(enable)
    await receiver.apply(event('disable', NOW - 1, { effect: event('disable', NOW).effect }))
    locks.set(ACCOUNT, { target: 'disabledAccount', name: ACCOUNT } as Lock)
    expect((await receiver.apply(enable)).result).toBe('duplicate')
    expect(locks.size).toBe(1)
  })
})

test('a store that is full makes the transmitter try again', async () => {
  store = createMemoryRevocationStore({ maxEntries: 1 }, { set, onSize: () => undefined })
  receiver = createEventReceiver({ lifetime: LIFETIME }, { set, store, lockStore })
  await expect(receiver.apply(event('end', NOW))).rejects.toMatchObject({
    code: 503,
    headers: { 'Retry-After': '5' },
  })
})
