import { expect, test, vi } from 'vitest'

import { admit, type Attributes, type Decision } from '../../src/authorization/authorizer.ts'
import { StatusError } from '../../src/status.ts'
import { infoOf, user } from './fixtures.ts'

const attributes: Attributes = { user: user('ada'), info: infoOf('GET /api/v1/pods') }
const allow: Decision = { decision: 'allow', rule: 'all', reason: '', shadow: [] }

test('an allowed request keeps every attribute, including those that admit does not know', async () => {
  const more: Attributes & { readonly remoteAddress: string } = {
    ...attributes,
    remoteAddress: '192.0.2.1',
  }
  const kept = { ...more, decision: allow }
  expect(admit(more, () => allow, vi.fn())).toEqual(kept)
  expect(await admit(more, async () => allow, vi.fn())).toEqual(kept)
})

test('a synchronous authorizer is admitted without a promise', () => {
  expect(admit(attributes, () => allow, vi.fn())).not.toBeInstanceOf(Promise)
})

test.for(['deny', 'noOpinion'] as const)('the decision %s is a 403 with its reason', (decision) => {
  const onDecision = vi.fn()
  const decided: Decision = { decision, rule: 'r', reason: 'not today', shadow: [] }
  expect(() => admit(attributes, () => decided, onDecision)).toThrow(
    new StatusError(
      'Forbidden',
      'pods is forbidden: User "ada" cannot list resource "pods" in API group "" at the cluster scope: not today',
      { details: { kind: 'pods' } },
    ),
  )
  expect(onDecision).toHaveBeenCalledExactlyOnceWith(decided)
})

test('a deny with an error throws the error after it was reported as a decision', () => {
  const onDecision = vi.fn()
  const error = new Error('no connection')
  const decided: Decision = { decision: 'deny', rule: '', reason: '', shadow: [], error }
  expect(() => admit(attributes, () => decided, onDecision)).toThrow(error)
  expect(onDecision).toHaveBeenCalledExactlyOnceWith(decided)
})
