/** Sign-ins with the passwords of a directory: which of them count, and against whom. */
import { expect, test } from 'vitest'

import {
  createDirectorySignIn,
  type DirectorySignInOptions,
} from '../../src/issuance/directory-sign-in.ts'
import { DirectoryUnavailable } from '../../src/ldap/connection.ts'
import { DirectoryRefused, type Directory } from '../../src/ldap/directory.ts'
import { UserUnusable } from '../../src/ldap/search.ts'
import { StatusError } from '../../src/status.ts'

const ATTEMPTS = { perUser: 4, perUserAndAddress: 3, perAddress: 5, window: 60_000 }
const OTHER = '198.51.100.7'

/** The directory knows every user by the lower-case name. A password is the error that it leads to, or right. */
const directory: Directory = {
  async signIn(username, password, attempt) {
    const isKnown = !username.startsWith('unknown')
    attempt.admit(isKnown ? `uid=${username}` : undefined)
    if (!isKnown) throw new DirectoryRefused('no such user')
    if (password === 'wrong') throw new DirectoryRefused('no')
    if (password === 'down') throw new DirectoryUnavailable('down')
    attempt.accepted()
    if (password === 'unusable') throw new UserUnusable('nested')
    if (password === 'no groups') throw new DirectoryUnavailable('down')
    await Promise.resolve()
    return { dn: `uid=${username}`, username, uid: '', groups: [] }
  },
}

function started(attempts: Partial<DirectorySignInOptions['attempts']> = {}) {
  const problems: string[] = []
  const signIn = createDirectorySignIn(
    {
      ...{ name: 'company', usernamePrefix: 'ldap:', groupPrefix: 'ldap:' },
      attempts: { ...ATTEMPTS, ...attempts },
    },
    {
      directory,
      guard(user) {
        if (user.username === 'ldap:guarded') throw new StatusError('Forbidden', 'guarded')
        return user
      },
      addressKey: (address) => address,
      onUnavailable: (problem) => problems.push(`unavailable: ${problem}`),
      onUnusable: (problem) => problems.push(`unusable: ${problem}`),
      onLimit: () => problems.push('limit'),
      onResult: () => undefined,
      now: () => 0,
    },
  )
  return {
    problems,
    /** @returns the status code */
    ask: async (username: string, password: string, address = '192.0.2.1'): Promise<number> => {
      try {
        await signIn(username, password, address)
        return 201
      } catch (error) {
        return (error as StatusError).code
      }
    },
  }
}

test.for([
  ['unusable', 'ada', 403],
  ['no groups', 'ada', 503],
  ['right', 'guarded', 403],
] as const)(
  'what fails after a right password (%s) is not a failed attempt',
  async ([password, username, code]) => {
    const { ask } = started()
    for (let i = 0; i < 10; i++) expect(await ask(username, password)).toBe(code)
    expect(await ask('ada', 'wrong')).toBe(401)
  },
)

test('a right password takes back its own attempt, and no other', async () => {
  const { ask } = started()
  for (let i = 0; i < 2; i++) expect(await ask('ada', 'wrong')).toBe(401)
  for (const password of ['right', 'no groups', 'unusable']) await ask('ada', password)
  expect(await ask('ada', 'wrong')).toBe(401)
  expect(await ask('ada', 'right')).toBe(429)
})

test('a password that the directory may have counted counts against the user, and not the address', async () => {
  const { ask, problems } = started()
  for (let i = 0; i < 3; i++) expect(await ask('ada', 'down')).toBe(503)
  expect(await ask('ada', 'right')).toBe(429)
  for (let i = 0; i < 5; i++) expect(await ask(`user-${i}`, 'down')).toBe(503)
  expect(await ask('grace', 'right')).toBe(201)
  expect(problems).toEqual([
    ...Array.from({ length: 3 }, () => 'unavailable: down'),
    'limit',
    ...Array.from({ length: 5 }, () => 'unavailable: down'),
  ])
})

test('failed passwords from one address leave some to the user at another one', async () => {
  const { ask } = started()
  const codes = await Promise.all(Array.from({ length: 5 }, () => ask('ada', 'wrong')))
  expect(codes.sort()).toEqual([401, 401, 401, 429, 429])
  expect(await ask('ada', 'right')).toBe(429)
  expect(await ask('ada', 'right', OTHER)).toBe(201)
  // The attempts that were not tried have used up nothing.
  expect(await ask('ada', 'wrong', OTHER)).toBe(401)
  // Those of all addresses together stay below the lock-out of the directory.
  expect(await ask('ada', 'wrong', OTHER)).toBe(429)
  expect(await ask('ada', 'right', '203.0.113.9')).toBe(429)
})

test('by default, one attempt is left to the user', async () => {
  for (const perUser of [3, 2]) {
    const { ask } = started({ perUser, perUserAndAddress: undefined })
    const codes = []
    for (let i = 0; i < 4; i++) codes.push(await ask('ada', 'wrong'))
    expect(codes.filter((code) => code === 401)).toHaveLength(perUser - 1)
    expect(await ask('ada', 'wrong', OTHER)).toBe(401)
    expect(await ask('ada', 'right', OTHER)).toBe(429)
  }
  const { ask } = started({ perUser: 1, perUserAndAddress: undefined })
  expect(await ask('ada', 'wrong')).toBe(401)
  expect(await ask('ada', 'right', OTHER)).toBe(429)
})

test('users who do not exist are limited as others are, so that nobody learns who exists', async () => {
  const codesOf = async (names: readonly string[]) => {
    const { ask } = started({ perAddress: 100 })
    const codes: number[] = []
    for (const name of names) codes.push(await ask(name, 'wrong'))
    for (const name of names) codes.push(await ask(name, 'wrong', OTHER))
    return codes
  }
  const known = await codesOf(['ada', 'ada', 'ada', 'ada', 'ada'])
  expect(known).toEqual([401, 401, 401, 429, 429, 401, 429, 429, 429, 429])
  const unknown = [
    'unknown x',
    'UNKNOWN X'.toLowerCase(),
    'unknown  x',
    'unknown \u{ff38}',
    'unknown x',
  ]
  expect(await codesOf(unknown)).toEqual(known)
})

test('invented names do not displace the failed passwords of a user', async () => {
  const { ask } = started({ perAddress: 10_000 })
  for (let i = 0; i < 3; i++) await ask('ada', 'wrong')
  for (let i = 0; i < 20_001; i++) await ask(`unknown ${i}`, 'wrong', `a${i % 100}`)
  expect(await ask('ada', 'right')).toBe(429)
})
