/** How many locks there may be, whoever sets them, and that each can be lifted. */
import { expect, test } from 'vitest'

import { accountName, type Lock, type LockTarget } from '../../src/locks/lock.ts'
import { unlockRequestSchema } from '../../src/locks/schema.ts'
import { requireRoom } from '../../src/locks/store.ts'
import { readSubject } from '../../src/security-events/subject.ts'

const lock = (target: LockTarget, name: string): Lock => ({
  ...{ target, name, until: undefined },
  ...{ reason: 'x', actor: 'x' },
})
const locks = (target: LockTarget, count: number): Lock[] =>
  Array.from({ length: count }, (_, i) => lock(target, `${target} ${i}`))

const ACCOUNT = lock('disabledAccount', accountName('https://idp.example', 'ada'))
const USER = lock('user', 'ada')

test('a transmitter that disables everybody leaves administrators room for their locks', () => {
  const accounts = locks('disabledAccount', 800)
  expect(() => requireRoom(ACCOUNT, accounts.slice(1))).not.toThrow()
  expect(() => requireRoom(ACCOUNT, accounts)).toThrow('there are 800 locks of disabled accounts')
  expect(() => requireRoom(USER, accounts)).not.toThrow()
  expect(() => requireRoom(USER, [...accounts, ...locks('user', 199)])).not.toThrow()
})

test('there are at most 1,000, with those that cannot be read', () => {
  const users = locks('user', 1_000)
  for (const one of [ACCOUNT, USER]) {
    expect(() => requireRoom(one, users)).toThrow('there are 1000 locks already')
    expect(() => requireRoom(one, [], 1_000)).toThrow('there are 1000 locks already')
    expect(() => requireRoom(one, users.slice(1))).not.toThrow()
  }
})

test.for([' ada', 'ada ', '\u00a0', '\u202eada', 'a'.repeat(512)])(
  'an administrator can lift the lock of whatever account an event may name: %j',
  (sub) => {
    const iss = 'https://idp.example'
    const { issuer, user = '' } = readSubject({ format: 'iss_sub', iss, sub }, [iss])
    const body = { disabledAccount: accountName(issuer, user) }
    expect(unlockRequestSchema.safeParse(body)).toMatchObject({ success: true, data: body })
  },
)
