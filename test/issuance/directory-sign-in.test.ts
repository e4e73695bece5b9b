/** Sign-ins with the passwords of a directory: which of them count, and against whom. */
import { expect, test } from 'vitest'

import { createDirectorySignIn } from '../../src/issuance/directory-sign-in.ts'
import { DirectoryUnavailable } from '../../src/ldap/connection.ts'
import { DirectoryRefused, UserUnusable, type Directory } from '../../src/ldap/directory.ts'
import { StatusError } from '../../src/status.ts'

const ATTEMPTS = { perUser: 3, perAddress: 5, window: 60_000 }

/** The directory knows every user by the lower-case name. A password is the error that it leads to, or right. */
const directory: Directory = {
  async signIn(username, password, attempt) {
    attempt.admit(`uid=${username}`)
    if (password === 'wrong') throw new DirectoryRefused('no')
    if (password === 'down') throw new DirectoryUnavailable('down')
    attempt.accepted()
    if (password === 'unusable') throw new UserUnusable('nested')
    if (password === 'no groups') throw new DirectoryUnavailable('down')
    await Promise.resolve()
    return { dn: `uid=${username}`, username, uid: '', groups: [] }
  },
}

function started(attempts: Partial<typeof ATTEMPTS> = {}) {
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
  expect(await ask('ada', 'wrong')).toBe(401)
  expect(await ask('ada', 'wrong')).toBe(401)
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
