/** Whether the API server trusts the issuing CAs: what its responses are taken for, and when it is asked again. */
import { X509Certificate } from 'node:crypto'

import { expect, test } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'
import type { ReviewResponse } from '../../src/cluster/review-client.ts'
import { createAuthorityCheck } from '../../src/issuance/authority-check.ts'

const issuing = await createAuthority({ commonName: 'issuing' })
const foreign = await createAuthority({ commonName: 'clients' })
const configMap = (data: Readonly<Record<string, unknown>>) => ({ kind: 'ConfigMap', data })
const CLEAN: ReviewResponse = {
  status: 200,
  body: configMap({ 'client-ca-file': foreign.certificatePem }),
}

function started({ tolerateUnchecked = false, response = CLEAN } = {}) {
  const world = {
    response,
    asked: 0,
    now: 0,
    unreadable: [] as number[],
    problems: [] as (string | undefined)[],
  }
  const check = createAuthorityCheck(
    { tolerateUnchecked },
    {
      reviewClient: {
        get() {
          world.asked += 1
          return Promise.resolve(world.response)
        },
      },
      authorities: () => [new X509Certificate(issuing.certificatePem)],
      others: () => [],
      onUnreadable: (status) => world.unreadable.push(status),
      onChange: (problem) => world.problems.push(problem),
      now: () => world.now,
    },
  )
  return { world, check }
}

const refusal = { code: 503 }

test.for([
  ['is no ConfigMap', { kind: 'Status', data: {} }],
  ['is an empty object', {}],
  ['has data of another type', { kind: 'ConfigMap', data: [] }],
  ['has CAs that are not text', configMap({ 'client-ca-file': [foreign.certificatePem] })],
] as const)('nothing is issued after a response that %s', async ([, body]) => {
  const { check } = started({ tolerateUnchecked: true, response: { status: 200, body } })
  await expect(check.require()).rejects.toMatchObject(refusal)
  expect(check.problem()).toContain('the CAs of the API server cannot be read: ')
})

test('an API server that trusts no CA for clients publishes a ConfigMap without data', async () => {
  const { check } = started({ response: { status: 200, body: { kind: 'ConfigMap' } } })
  await check.require()
  expect(check.problem()).toBeUndefined()
})

test('the readiness check asks again, so that it recovers without a request for a certificate', async () => {
  const { world, check } = started({ response: { status: 403, body: {} } })
  await expect(check.require()).rejects.toMatchObject(refusal)
  world.response = CLEAN
  expect(check.problem()).toContain('status 403')
  expect(world.asked).toBe(1)
  world.now += 5_001
  expect(check.problem()).toContain('status 403')
  await expect.poll(() => check.problem()).toBeUndefined()
  expect(world.asked).toBe(2)
  world.now += 300_001
  world.response = { status: 200, body: configMap({ 'client-ca-file': issuing.certificatePem }) }
  expect(check.problem()).toBeUndefined()
  await expect.poll(() => check.problem()).toContain('the API server trusts the issuing CA')
})

test('why nothing is issued is reported when it changes', async () => {
  const { world, check } = started()
  await check.require()
  expect(world.problems).toEqual([])
  const ask = async (response: ReviewResponse): Promise<void> => {
    world.now += 300_001
    world.response = response
    await check.require().catch(() => undefined)
  }
  for (const response of [{ status: 403, body: {} }, { status: 403, body: {} }, CLEAN, CLEAN]) {
    await ask(response)
  }
  expect(world.asked).toBe(5)
  expect(world.problems).toEqual([expect.stringContaining('status 403'), undefined])
})

test('a CA that the API server no longer trusts can issue soon after', async () => {
  const { world, check } = started({
    response: { status: 200, body: configMap({ 'client-ca-file': issuing.certificatePem }) },
  })
  await expect(check.require()).rejects.toMatchObject(refusal)
  world.response = CLEAN
  world.now += 5_001
  await check.require()
})

test.for([403, 404])('status %d is accepted only if the configuration says so', async (status) => {
  const response = { status, body: {} }
  await expect(started({ response }).check.require()).rejects.toMatchObject(refusal)
  const tolerant = started({ response, tolerateUnchecked: true })
  await tolerant.check.require()
  expect(tolerant.world.unreadable).toEqual([status])
})

test.for([401, 500])('status %d is never accepted', async (status) => {
  const { check } = started({ response: { status, body: {} }, tolerateUnchecked: true })
  await expect(check.require()).rejects.toMatchObject(refusal)
})
