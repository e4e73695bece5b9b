import { beforeEach, expect, test } from 'vitest'

import type { Authenticator, Credentials } from '../../src/authentication/authenticator.ts'
import { unauthorized } from '../../src/authentication/bearer.ts'
import { claimedUser } from '../../src/authentication/stated-identity.ts'
import type { FailureVerdict } from '../../src/limits/failed-sign-ins.ts'
import { createMetrics } from '../../src/metrics.ts'
import { createFailureGuard } from '../../src/pipeline/failed-sign-ins.ts'
import { StatusError } from '../../src/status.ts'
import { ada, clientRequest, memoryLog } from '../audit/fixtures.ts'

const FREE: FailureVerdict = { delay: 0, bannedFor: 0, bannedAfter: undefined }
const REJECTED = unauthorized('the signature does not verify')

/** Who was counted, and what waits to be sent. */
let counted: [address: string, user: string | undefined][]
let waits: { readonly milliseconds: number; readonly end: () => void }[]

beforeEach(() => {
  counted = []
  waits = []
})

const guard = (...args: Parameters<typeof guardOf>) => guardOf(...args).authenticate

function guardOf(authenticate: Authenticator, verdict: Partial<FailureVerdict> = {}) {
  return createFailureGuard(
    {
      authenticate,
      failures: {
        add(address, user) {
          counted.push([address, user])
          return { ...FREE, ...verdict }
        },
      },
      auditor: {
        openAlert: () => {
          throw new StatusError('ServiceUnavailable', 'no room')
        },
      },
    },
    {
      log: memoryLog().log,
      metrics: createMetrics({ processMetrics: false }),
      wait: (milliseconds) =>
        new Promise<void>((resolve) => waits.push({ milliseconds, end: resolve })),
    },
  )
}

const reject: Authenticator = () => {
  throw REJECTED
}

function credentials(token = 'x', remoteAddress = '192.0.2.7'): Credentials {
  const { connection, rawHeaders } = clientRequest()
  return {
    connection: { ...connection, remoteAddress, peerCertificate: undefined },
    authorization: `Bearer ${token}`,
    webSocketToken: undefined,
    rawHeaders,
  }
}

async function refusalOf(authenticate: Authenticator, of = credentials()): Promise<unknown> {
  try {
    await authenticate(of)
  } catch (error) {
    return error
  }
  return expect.fail('not refused')
}

test('a user who is recognized is not counted and does not wait', async () => {
  expect(guard(() => ada, { delay: 1_000 })(credentials())).toBe(ada)
  expect(await guard(async () => ada, { delay: 1_000 })(credentials())).toBe(ada)
  expect(guard(() => undefined)(credentials())).toBeUndefined()
  expect([counted, waits]).toEqual([[], []])
})

test('a rejected credential is counted once, by address and claimed user, and refused as before', async () => {
  const payload = (claims: object) => Buffer.from(JSON.stringify(claims)).toString('base64url')
  const mallory = `h.${payload({ iss: 'https://x', sub: 'mallory' })}.s`
  const eve = `h.${payload({ iss: 'https://x', sub: 'eve' })}.s`
  for (const authenticate of [reject, async () => Promise.reject(REJECTED)]) {
    for (const token of [mallory, eve, 'x'])
      expect(await refusalOf(guard(authenticate), credentials(token))).toBe(REJECTED)
  }
  const users = counted.map(([, user]) => user)
  expect(users.slice(0, 3)).toEqual(users.slice(3))
  expect(new Set(users).size).toBe(3)
  expect(users[2]).toBeUndefined()
  expect(users.join()).not.toContain('mallory')
})

test('an IPv6 address counts as its /64', async () => {
  await refusalOf(guard(reject), credentials('x', '2001:db8::1:2'))
  expect(counted).toEqual([['2001:db8:0:0::/64', undefined]])
})

test('what is not a verdict on the credential is not counted', async () => {
  for (const error of [
    new StatusError('ServiceUnavailable', 'no keys'),
    new StatusError('Forbidden', 'reserved'),
    new TypeError('a fault'),
  ]) {
    const failing: Authenticator = () => {
      throw error
    }
    expect(await refusalOf(guard(failing))).toBe(error)
  }
  expect(counted).toEqual([])
})

test('a refusal waits for its delay, and then is what it was', async () => {
  const refused = refusalOf(guard(reject, { delay: 400 }))
  await expect.poll(() => waits.map(({ milliseconds }) => milliseconds)).toEqual([400])
  waits[0]?.end()
  expect(await refused).toBe(REJECTED)
})

test('a banned address is refused at once, and the audit record keeps the cause', async () => {
  const banned = guard(reject, { bannedFor: 1_500, bannedAfter: 5 })
  expect(await refusalOf(banned)).toMatchObject({
    code: 429,
    message:
      'too many failed sign-ins from this address: try again in 2 s; a valid credential is still accepted',
    cause: REJECTED.cause,
    // kubectl would wait for it.
    headers: {},
  })
})

test('only some refusals of an address wait; further ones are refused at once, others are not', async () => {
  const delaying = guard(reject, { delay: 400 })
  const waiting = Array.from({ length: 32 }, () => refusalOf(delaying))
  expect(await refusalOf(delaying)).toMatchObject({ code: 429 })
  const other = refusalOf(delaying, credentials('x', '192.0.2.8'))
  await expect.poll(() => waits).toHaveLength(33)
  for (const { end } of waits) end()
  expect(new Set(await Promise.all([...waiting, other]))).toEqual(new Set([REJECTED]))
  const again = refusalOf(delaying)
  await expect.poll(() => waits).toHaveLength(34)
  waits[33]?.end()
  expect(await again).toBe(REJECTED)
})

test('a rejected password is counted for the claimed user, and its refusal waits as any other', async () => {
  const { refuse } = guardOf(reject, { delay: 400 })
  const { connection } = credentials()
  const refused = refuse(connection, claimedUser('ldap', 'company', 'ada'), REJECTED)
  refused.catch(() => undefined)
  await expect.poll(() => waits).toHaveLength(1)
  waits[0]?.end()
  await expect(refused).rejects.toBe(REJECTED)
  expect(counted).toEqual([['192.0.2.7', claimedUser('ldap', 'company', 'ada')]])
})
