import { expect, test } from 'vitest'

import type { Authentication, SignInOrigin } from '../../src/authentication/authenticator.ts'
import { createMemoryRevocationStore } from '../../src/revocations/memory-store.ts'
import { messageKey, revocationsOf, type SessionEnd } from '../../src/revocations/revocation.ts'
import { createRevocationSet } from '../../src/revocations/revocation-set.ts'
import { createRevocations } from '../../src/revocations/revocations.ts'

const ISSUER = 'https://issuer.example'
const LIFETIME = 86_400_000
const NOW = 1_800_000_000_000

function start({ maxEntries = 100 } = {}) {
  const clock = { now: NOW }
  let changes = 0
  let unavailable: string | undefined
  const now = (): number => clock.now
  const set = createRevocationSet({ now, onChanged: () => (changes += 1) })
  const sizes: number[] = []
  const store = createMemoryRevocationStore(
    { maxEntries },
    { set, onSize: (size) => sizes.push(size) },
  )
  const revocations = createRevocations(
    { lifetime: LIFETIME, isCovered: (issuer) => issuer === ISSUER },
    { set, now, unavailable: () => unavailable },
  )
  return {
    ...{ clock, set, store, sizes },
    changes: () => changes,
    setUnavailable: (why: string) => (unavailable = why),
    end: (end: Partial<SessionEnd>) =>
      store.add({
        revocations: revocationsOf(
          { issuer: ISSUER, subject: undefined, session: undefined, at: NOW, event: 'x', ...end },
          { now: clock.now, lifetime: LIFETIME },
        ),
      }),
    refusal: (origin: Partial<SignInOrigin> = {}) =>
      revocations.refusalOf(authenticationOf(origin)),
    running: (origin: Partial<SignInOrigin> = {}) => revocations.endOf(authenticationOf(origin)),
  }
}

function authenticationOf(origin: Partial<SignInOrigin>): Authentication {
  const issuedAt = 'issuedAt' in origin ? origin.issuedAt : NOW - 60_000
  return {
    user: { username: 'oidc:ada', uid: '', groups: [], extra: {} },
    ...{ method: 'oidc', annotations: {} },
    origin: {
      ...{ issuer: ISSUER, subject: 'ada', session: 's-1' },
      ...{ credentialIssuedAt: issuedAt ?? 0, ...origin, issuedAt },
    },
  }
}

test('the end of all sessions of a user ends what was issued before, and nothing later or of others', async () => {
  const { end, refusal } = start()
  await end({ subject: 'ada', event: 'session-revoked' })
  const refused = refusal()
  expect(refused).toMatchObject({
    ...{ code: 401, reason: 'Unauthorized' },
    message:
      'your session at "https://issuer.example" has ended (session-revoked at 2027-01-15T08:00:00.000Z): sign in again',
  })
  // A token of the same second may be an earlier one.
  expect(refusal({ issuedAt: NOW })).toBeDefined()
  expect(refusal({ issuedAt: NOW + 1_000 })).toBeUndefined()
  expect(refusal({ subject: 'grace' })).toBeUndefined()
  expect(refusal({ issuer: 'https://other.example' })).toBeUndefined()
})

test('the end of a session ends its tokens, however late they were renewed, and no other session', async () => {
  const { end, refusal } = start()
  await end({ subject: 'ada', session: 's-1' })
  expect(refusal()).toBeDefined()
  expect(refusal({ issuedAt: NOW + 3_600_000 })).toBeDefined()
  expect(refusal({ session: 's-2' })).toBeUndefined()
  expect(refusal({ subject: 'grace', session: 's-2' })).toBeUndefined()
  // The issuer has not said which session it is: it may be this one.
  expect(refusal({ session: undefined })).toBeDefined()
  expect(refusal({ session: undefined, issuedAt: NOW + 1_000 })).toBeUndefined()
})

test('an event that comes late takes nothing back from an earlier one', async () => {
  const { end, refusal } = start()
  await end({ subject: 'ada', at: NOW })
  await end({ subject: 'ada', at: NOW - 600_000 })
  expect(refusal({ issuedAt: NOW - 60_000 })).toBeDefined()
})

test('a session that ends once more is remembered from then on', async () => {
  const { end, refusal, clock, changes, set } = start()
  await end({ session: 's-1' })
  clock.now = NOW + LIFETIME - 1_000
  await end({ session: 's-1', at: clock.now })
  // Nothing that runs had to be looked at again.
  expect(changes()).toBe(1)
  clock.now = NOW + LIFETIME + 1_000
  expect(set.all()).toHaveLength(1)
  expect(refusal({ issuedAt: NOW + LIFETIME - 60_000 })).toBeDefined()
})

test('a token that is too old to be judged is refused, and what runs goes on', async () => {
  const { refusal, running } = start()
  const old = { issuedAt: NOW - LIFETIME - 1_000 }
  expect(refusal(old)?.message).toContain('older than revocations are remembered')
  expect(running(old)).toBeUndefined()
  // A certificate that was issued later for it ends by itself.
  expect(refusal({ ...old, credentialIssuedAt: NOW - 3_600_000 })).toBeUndefined()
})

test('no token lives longer than the revocation that ends it', async () => {
  const { end, refusal, clock } = start()
  await end({ subject: 'ada' })
  for (let hours = 0; hours < 72; hours++) {
    clock.now = NOW + hours * 3_600_000
    expect(refusal({ issuedAt: NOW })).toBeDefined()
    expect(refusal({ issuedAt: NOW - 60_000 })).toBeDefined()
  }
})

test('a token that does not say whose it is, or when it was issued, is refused', () => {
  const { refusal } = start()
  expect(refusal({ subject: undefined })?.message).toContain('names no user (sub)')
  expect(refusal({ issuedAt: undefined })?.message).toContain('when it was issued (iat)')
})

test('while nobody knows what has ended, users of the issuer are refused, and others are not', () => {
  const { refusal, setUnavailable } = start()
  setUnavailable('not read yet')
  expect(refusal()).toMatchObject({ code: 503, message: 'not read yet' })
  expect(refusal({ issuer: 'https://other.example' })).toBeUndefined()
})

test('a message counts once', async () => {
  const { store, changes } = start()
  const once = { key: messageKey(ISSUER, '1'), before: undefined, until: NOW + 1_000, event: 'x' }
  const revocations = revocationsOf(
    { issuer: ISSUER, subject: 'ada', session: undefined, at: NOW, event: 'x' },
    { now: NOW, lifetime: LIFETIME },
  )
  expect(await store.add({ revocations, once })).toBe(true)
  expect(await store.add({ revocations, once })).toBe(false)
  expect(changes()).toBe(1)
})

test('beyond the limit an event is refused, nothing is forgotten, and room comes back with time', async () => {
  const { end, refusal, clock, sizes } = start({ maxEntries: 2 })
  await end({ subject: 'ada' })
  await end({ subject: 'grace' })
  await expect(end({ subject: 'mallory' })).rejects.toMatchObject({ code: 503 })
  expect([refusal(), refusal({ subject: 'grace' })]).not.toContain(undefined)
  expect(refusal({ subject: 'mallory' })).toBeUndefined()
  clock.now += LIFETIME
  await end({ subject: 'mallory', at: clock.now })
  expect(refusal({ subject: 'mallory' })).toBeDefined()
  expect(sizes).toEqual([1, 2, 1])
})
