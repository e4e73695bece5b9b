/** `gatehouse lock`, `unlock` and `locks`, by users who have signed in. */
import { X509Certificate } from 'node:crypto'

import { afterAll, beforeAll, expect, test } from 'vitest'

import {
  startSignInWorld,
  type CommandLineUser,
  type SignInWorld,
} from '../support/sign-in-world.ts'

let world: SignInWorld
let grace: CommandLineUser
let heidi: CommandLineUser

beforeAll(async () => {
  world = await startSignInWorld({
    signIn: { caFile: 'serving-ca.crt', clusterName: 'lab' },
    locks: { administrators: { groups: ['oidc:ops'] } },
  })
  const signedIn = async (account: string): Promise<CommandLineUser> => {
    const user = await world.user(account)
    const fingerprint = new X509Certificate(world.gatehouse.ca).fingerprint256
    const login = await user.run(['login', world.gatehouse.url, '--ca-fingerprint', fingerprint])
    expect(login).toMatchObject({ code: 0 })
    return user
  }
  grace = await signedIn('grace')
  heidi = await signedIn('heidi')
})

afterAll(() => world.close())

test('an administrator locks a user, sees the lock, and lifts it', async () => {
  const reason = 'Laptop stolen, call the desk.'
  const lock = ['lock', '--user', 'oidc:grace', '--for', '2h', '--reason', reason]
  expect(await heidi.run(lock)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(
      /^Locked +user oidc:grace\nUntil +20.*Z\nReason +Laptop stolen, call the desk\.\nSet by +oidc:heidi\n$/,
    ) as string,
    stderr: '',
  })
  const refused = await grace.run(['whoami'])
  expect(refused).toMatchObject({ code: 8, stdout: '' })
  expect(refused.stderr).toMatch(
    /user "oidc:grace" is locked until 20.*Z: Laptop stolen, call the desk\./,
  )

  const { stdout: table } = await heidi.run(['locks'])
  expect(table).toMatch(
    /^TARGET +NAME +UNTIL +SET BY +REASON\nuser +oidc:grace +20\S+Z +oidc:heidi +Laptop stolen, call the desk\.\n$/,
  )
  const { stdout: json } = await heidi.run(['locks', '--output', 'json'])
  expect(JSON.parse(json)).toEqual({
    locks: [
      {
        ...{ user: 'oidc:grace', reason, actor: 'oidc:heidi', source: 'store' },
        until: expect.stringMatching(/Z$/) as string,
      },
    ],
  })
  expect(await heidi.run(['unlock', '--user', 'oidc:grace'])).toMatchObject({
    code: 0,
    stdout: 'user oidc:grace is no longer locked\n',
  })
  expect(await grace.run(['whoami'])).toMatchObject({ code: 0 })
})

test('a user whom the configuration does not name may do none of it', async () => {
  for (const args of [
    ['lock', '--user', 'oidc:heidi', '--reason', 'x'],
    ['unlock', '--user', 'oidc:heidi'],
    ['locks'],
  ]) {
    const { code, stdout, stderr } = await grace.run(args)
    expect([code, stdout]).toEqual([8, ''])
    expect(stderr).toContain('user "oidc:grace" may not see or change locks')
  }
})

test.for([
  [['lock', '--reason', 'x'], 2, 'use exactly one of --user'],
  [['lock', '--user', 'a', '--group', 'b', '--reason', 'x'], 2, 'use exactly one of --user'],
  [['lock', '--user', 'a'], 2, "required option '--reason <text>'"],
  [['lock', '--user', 'a', '--reason', 'x', '--for', 'ever'], 2, '--for ever: must be a duration'],
  [['lock', '--certificate-serial', 'x', '--reason', 'x'], 8, 'is not a serial number'],
  [['lock', '--token-id', 'JTI=x', '--reason', 'x'], 8, 'begins with "JTI="'],
  [['lock', '--address', 'x', '--reason', 'x'], 8, 'is not a network'],
  [['lock', '--user', 'oidc:heidi', '--reason', 'x'], 8, 'would lock you out'],
  [['unlock', '--token-id', 'x'], 8, 'the token with the ID "x" is not locked'],
] as const)('gatehouse %j fails with a reason', async ([args, exitCode, message]) => {
  const { code, stdout, stderr } = await heidi.run(args)
  expect([code, stdout]).toEqual([exitCode, ''])
  expect(stderr).toContain(message)
})
