import { beforeEach, expect, test } from 'vitest'

import { createGroupLookup, type GroupLookup } from '../../src/groups/group-lookup.ts'
import { ThrottledError, UnknownUserError } from '../../src/groups/group-source.ts'

const LIFETIME_MS = 60_000

let now: number
let asked: string[]
let changes: number
let results: string[]
let reply: () => Promise<readonly string[]>
let lookup: GroupLookup

beforeEach(() => {
  now = 1_800_000_000_000
  asked = []
  changes = 0
  results = []
  reply = () => Promise.resolve(['dev'])
  lookup = createGroupLookup(
    {
      groupsOf(user) {
        asked.push(user)
        return reply()
      },
    },
    { lifetime: LIFETIME_MS, timeout: 100 },
    {
      clock: () => now,
      onChanged: () => changes++,
      onResult: (result, reason) =>
        results.push(reason === undefined ? result : `${result}: ${reason}`),
    },
  )
})

const failing = (error: Error) => () => Promise.reject(error)

test('groups are used for their lifetime, and then looked up again', async () => {
  expect(await lookup.find('ada')).toEqual({ names: ['dev'], until: now + LIFETIME_MS })
  now += LIFETIME_MS - 1
  await lookup.find('ada')
  expect(asked).toHaveLength(1)
  now += 1
  await lookup.find('ada')
  expect(asked).toHaveLength(2)
  expect(changes).toBe(0)
})

test('a hundred requests of one user at once are one lookup', async () => {
  await Promise.all(Array.from({ length: 100 }, () => lookup.find('ada')))
  expect(asked).toEqual(['ada'])
})

test('groups that are older than their lifetime are not used while the source is down', async () => {
  await lookup.find('ada')
  now += LIFETIME_MS
  reply = failing(new Error('down'))
  await expect(lookup.find('ada')).rejects.toThrow('down')
  expect(results).toEqual(['ok', 'failed: down'])
})

test('after a failure the source of one user rests for two seconds', async () => {
  reply = failing(new Error('down'))
  await expect(lookup.find('ada')).rejects.toThrow('down')
  now += 1_999
  await expect(lookup.find('ada')).rejects.toThrow('down')
  expect(asked).toEqual(['ada'])
  reply = () => Promise.resolve(['ops'])
  expect(await lookup.find('grace')).toMatchObject({ names: ['ops'] })
  now += 1
  expect(await lookup.find('ada')).toMatchObject({ names: ['ops'] })
})

test('a source that asks for a pause gets it, for all users who are not known', async () => {
  await lookup.find('ada')
  reply = failing(new ThrottledError('throttles', 30_000))
  await expect(lookup.find('grace')).rejects.toThrow('throttles')
  reply = () => Promise.resolve([])
  await expect(lookup.find('eve')).rejects.toThrow('throttles')
  expect(await lookup.find('ada')).toMatchObject({ names: ['dev'] })
  now += 30_000
  expect(await lookup.find('eve')).toMatchObject({ names: [] })
  expect(asked).toEqual(['ada', 'grace', 'eve'])
  expect(results).toEqual(['ok', 'failed: throttles', 'failed', 'ok'])
})

test('a check and the lookups keep the pause of each other, and say why', async () => {
  let checks = 0
  const checked = createGroupLookup(
    {
      groupsOf: () => reply(),
      check() {
        checks++
        return Promise.reject(new ThrottledError('rejected', 30_000))
      },
    },
    { lifetime: LIFETIME_MS, timeout: 100 },
    { clock: () => now, onChanged: () => undefined, onResult: () => undefined },
  )
  await expect(checked.check?.()).rejects.toThrow('rejected')
  await expect(checked.find('ada')).rejects.toThrow('rejected')
  now += 29_000
  await expect(checked.check?.()).rejects.toMatchObject({ message: 'rejected', retryAfter: 1_000 })
  expect(checks).toBe(1)
  now += 1_000
  expect(await checked.find('ada')).toMatchObject({ names: ['dev'] })
})

test('a source that hangs fails at the deadline', async () => {
  const hanging = createGroupLookup(
    {
      groupsOf: (_user, { signal }) =>
        new Promise((_, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason as Error)),
        ),
    },
    { lifetime: LIFETIME_MS, timeout: 20 },
    { clock: () => now, onChanged: () => undefined, onResult: () => undefined },
  )
  await expect(hanging.find('ada')).rejects.toThrow('no response within 0.02 s')
})

test('more than 256 lookups are not begun at once', async () => {
  const { promise, resolve } = Promise.withResolvers<readonly string[]>()
  reply = () => promise
  const begun = Array.from({ length: 256 }, (_, i) => lookup.find(`user-${i}`))
  await expect(lookup.find('one-more')).rejects.toThrow('too many lookups are in progress')
  expect(results).toEqual(['failed: too many lookups are in progress'])
  resolve([])
  await Promise.all(begun)
  expect(asked).toHaveLength(256)
})

test('other groups than before are reported, in another order not', async () => {
  reply = () => Promise.resolve(['a', 'b'])
  await lookup.find('ada')
  now += LIFETIME_MS
  reply = () => Promise.resolve(['b', 'a'])
  await lookup.find('ada')
  expect(changes).toBe(0)
  now += LIFETIME_MS
  reply = () => Promise.resolve(['b'])
  await lookup.find('ada')
  expect(changes).toBe(1)
  expect(lookup.last('ada')).toEqual(['b'])
})

test('a user whom the source no longer has is reported as removed', async () => {
  await lookup.find('ada')
  now += LIFETIME_MS
  reply = failing(new UnknownUserError('gone'))
  await expect(lookup.find('ada')).rejects.toBeInstanceOf(UnknownUserError)
  expect([changes, lookup.last('ada')]).toEqual([1, 'removed'])
  now += 2_000
  reply = () => Promise.resolve(['dev'])
  await lookup.find('ada')
  expect(lookup.last('ada')).toEqual(['dev'])
})

test('more than 10,000 groups are a failure', async () => {
  reply = () => Promise.resolve(Array.from({ length: 10_001 }, (_, i) => `g${i}`))
  await expect(lookup.find('ada')).rejects.toThrow('more than 10000 groups')
})
