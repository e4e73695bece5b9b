/** How many locks there may be, whoever sets them. */
import { expect, test } from 'vitest'

import { accountName, type Lock, type LockTarget } from '../../src/locks/lock.ts'
import { requireRoom } from '../../src/locks/store.ts'

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
