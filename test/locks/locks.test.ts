import { describe, expect, test } from 'vitest'

import type { Authentication, UserInfo } from '../../src/authentication/authenticator.ts'
import type { PeerCertificate } from '../../src/http/exchange.ts'
import type { LockedConnection } from '../../src/locks/lock-set.ts'
import type { Lock, LockTarget } from '../../src/locks/lock.ts'
import { createLocks } from '../../src/locks/locks.ts'

const NOW = Date.UTC(2026, 0, 1)

const lock = (target: LockTarget, name: string, more: Partial<Lock> = {}): Lock => ({
  ...{ target, name, reason: 'why', until: undefined, actor: undefined },
  ...more,
})

function userOf(more: Partial<UserInfo> = {}): UserInfo {
  return { username: 'ada', uid: '', groups: ['dev', 'system:authenticated'], extra: {}, ...more }
}

interface Subject {
  readonly user?: Partial<UserInfo>
  readonly credential?: Partial<Authentication>
  readonly address?: string
  /** The serial number of the client's certificate. */
  readonly serial?: string
  readonly as?: Partial<UserInfo>
}

function connectionOf(remoteAddress: string, serialNumber?: string): LockedConnection {
  const peerCertificate: PeerCertificate | undefined =
    serialNumber === undefined
      ? undefined
      : {
          ...{ serialNumber, subject: {}, extKeyUsage: undefined, isCA: false, sha256: '' },
          ...{ notBefore: 0, notAfter: 0, verifyError: undefined },
          ...{ verdictEndsAt: 0, generation: 1, issuedHere: undefined, isSelfSigned: false },
        }
  return { remoteAddress, peerCertificate }
}

/** The refusal, undefined if there is none. */
function refused(locks: readonly Lock[], subject: Subject = {}): string | undefined {
  const all = createLocks({ wallClock: () => NOW, onChanged: () => undefined })
  all.replace('file', locks)
  const { user, credential, address = '192.0.2.7', serial, as } = subject
  return all.refusalOf(
    { user: userOf(user), method: 'oidc', annotations: {}, ...credential },
    connectionOf(address, serial),
    as === undefined ? undefined : userOf(as),
  )?.message
}

test.for([
  ['a user', lock('user', 'ada'), {}, 'user "ada" is locked: why'],
  ['another user', lock('user', 'Ada'), {}, undefined],
  ['a user of the name of a group', lock('user', 'dev'), {}, undefined],
  ['a group', lock('group', 'dev'), {}, 'group "dev" is locked: why'],
  [
    'every user',
    lock('group', 'system:authenticated'),
    {},
    'group "system:authenticated" is locked: why',
  ],
  ['another group', lock('group', 'ops'), {}, undefined],
  [
    'a token',
    lock('tokenID', 'j-1'),
    { credential: { tokenID: 'j-1' } },
    'the token with the ID "j-1" is locked: why',
  ],
  ['another token', lock('tokenID', 'j-1'), { credential: { tokenID: 'j-2' } }, undefined],
  ['a token, for one without an ID', lock('tokenID', 'undefined'), {}, undefined],
  [
    'a certificate',
    lock('certificateSerial', 'a1b2'),
    { serial: '00A1B2' },
    'the certificate with the serial number a1b2 is locked: why',
  ],
  ['another certificate', lock('certificateSerial', 'a1b2'), { serial: 'A1B200' }, undefined],
  ['an address', lock('address', '192.0.2.7'), {}, 'the address 192.0.2.7 is locked: why'],
  ['a network', lock('address', '192.0.2.0/24'), {}, 'the address 192.0.2.0/24 is locked: why'],
  ['another address', lock('address', '192.0.2.8'), {}, undefined],
  [
    'a network of IPv6',
    lock('address', '2001:db8::/32'),
    { address: '2001:db8:1::7' },
    'the address 2001:db8::/32 is locked: why',
  ],
  [
    'an address in the form of IPv6',
    lock('address', '::ffff:192.0.2.7'),
    {},
    'the address ::ffff:192.0.2.7 is locked: why',
  ],
  ['a network of the other family', lock('address', '::/0'), {}, undefined],
] as const)('a lock of %s', ([, one, subject, message]) => {
  expect(refused([one], subject)).toBe(message)
})

describe('groups that a credential does not state', () => {
  const locks = [lock('group', 'contractors')]

  test('may be any: every lock of a group applies, and the refusal says why', () => {
    const user = { groups: [], unassertedGroups: 'unknown' as const }
    expect(refused(locks, { user })).toBe(
      'group "contractors" is locked, and the credential does not state its groups: why',
    )
  })

  test('do not matter where no group is locked', () => {
    const user = { groups: [], unassertedGroups: 'unknown' as const }
    expect(refused([lock('user', 'grace')], { user })).toBeUndefined()
    expect(refused([lock('group', 'x', { until: NOW })], { user })).toBeUndefined()
  })

  test('count if they were only dropped for their names', () => {
    const dropped = (...unassertedGroups: string[]) =>
      refused(locks, { user: { unassertedGroups } })
    expect(dropped('contractors')).toBe('group "contractors" is locked: why')
    expect(dropped('others')).toBeUndefined()
  })
})

test('a lock holds until its end, and the refusal says when that is', () => {
  expect(refused([lock('user', 'ada', { until: NOW })])).toBeUndefined()
  expect(refused([lock('user', 'ada', { until: NOW + 1_000 })])).toBe(
    'user "ada" is locked until 2026-01-01T00:00:01.000Z: why',
  )
})

test('of two locks of one target the one that ends last counts, in any order', () => {
  const [short, long] = [lock('user', 'ada', { until: NOW - 1 }), lock('user', 'ada')]
  expect(refused([short, long])).toBe('user "ada" is locked: why')
  expect(refused([long, short])).toBe('user "ada" is locked: why')
})

test('a locked user is nobody whom others can act as, nor is a member of a locked group', () => {
  expect(refused([lock('user', 'eve')], { as: { username: 'eve' } })).toMatch(/^user "eve"/)
  expect(refused([lock('group', 'g')], { as: { groups: ['g'] } })).toMatch(/^group "g"/)
  expect(refused([lock('user', 'ada')], { as: { username: 'eve' } })).toMatch(/^user "ada"/)
})

test('locks of the file and of the store are replaced independently', () => {
  let changes = 0
  const all = createLocks({ wallClock: () => NOW, onChanged: () => (changes += 1) })
  const isLocked = (username: string): boolean =>
    all.refusalOf(
      { user: userOf({ username }), method: 'oidc', annotations: {} },
      connectionOf('192.0.2.7'),
    ) !== undefined
  all.replace('file', [lock('user', 'ada')])
  all.replace('store', [lock('user', 'grace')])
  expect(['ada', 'grace', 'eve'].map(isLocked)).toEqual([true, true, false])
  all.replace('file', [])
  expect(['ada', 'grace'].map(isLocked)).toEqual([false, true])
  expect(changes).toBe(3)
})

test.for([
  ['ahead of it', 3_600_000],
  ['behind it', -3_600_000],
])('a clock of Redis that is %s lifts no lock of the file early', ([, offset]) => {
  let wall = NOW
  const all = createLocks({
    wallClock: () => wall,
    storeOffset: () => offset as number,
    onChanged: () => undefined,
  })
  const until = NOW + 60_000
  all.replace('file', [lock('user', 'ada', { until })])
  const isLocked = () =>
    all.refusalOf(
      { user: userOf(), method: 'oidc', annotations: {} },
      connectionOf('192.0.2.7'),
    ) !== undefined
  expect(isLocked()).toBe(true)
  wall = until + Math.max(0, -(offset as number))
  expect(isLocked()).toBe(false)
})
