import { describe, expect, test, vi } from 'vitest'

import {
  admit,
  type Attributes,
  type Authorizer,
  type Decision,
  type ShadowDecision,
} from '../../src/authorization/authorizer.ts'
import { createAuthorizerUnion } from '../../src/authorization/union.ts'
import { infoOf, user } from './fixtures.ts'

const attributes: Attributes = { user: user('ada'), info: infoOf('GET /api/v1/pods') }

function decisionOf(
  decision: Decision['decision'],
  reason: string = decision,
  shadow: readonly ShadowDecision[] = [],
): Decision {
  return { decision, rule: decision === 'noOpinion' ? '' : reason, reason, shadow }
}

const fail = (thrown: unknown): never => {
  throw thrown
}

describe.for([
  { how: 'synchronous', wrap: (authorizer: Authorizer): Authorizer => authorizer },
  {
    how: 'asynchronous',
    wrap:
      (authorizer: Authorizer): Authorizer =>
      async (asked) =>
        authorizer(asked),
  },
])('with $how authorizers', ({ wrap }) => {
  const unionOf = (...authorizers: Authorizer[]) => createAuthorizerUnion(authorizers.map(wrap))

  test.for(['allow', 'deny'] as const)(
    'the first %s decides, and later authorizers are not asked',
    async (decision) => {
      const later = vi.fn<Authorizer>(() => decisionOf('deny'))
      const decided = decisionOf(decision)
      const union = unionOf(
        () => decisionOf('noOpinion'),
        () => decided,
        later,
      )
      expect(await union(attributes)).toBe(decided)
      expect(later).not.toHaveBeenCalled()
    },
  )

  test('authorizers are asked in order, each with the same attributes', async () => {
    const asked: [number, Attributes][] = []
    const union = unionOf(
      ...[1, 2, 3].map((number): Authorizer => (given) => {
        asked.push([number, given])
        return decisionOf('noOpinion')
      }),
    )
    await union(attributes)
    expect(asked).toEqual([1, 2, 3].map((number) => [number, attributes]))
    expect(asked.every(([, given]) => given === attributes)).toBe(true)
  })

  test('no opinion of any of them is no opinion with every reason, and is refused', async () => {
    const union = unionOf(
      () => decisionOf('noOpinion', 'no rule'),
      () => decisionOf('noOpinion', ''),
      () => decisionOf('noOpinion', 'no binding'),
    )
    expect(await union(attributes)).toEqual(decisionOf('noOpinion', 'no rule; no binding'))
    await expect(async () => admit(attributes, union, () => undefined)).rejects.toMatchObject({
      code: 403,
    })
  })

  test('an exception is a deny with the error, and later authorizers are not asked', async () => {
    const error = new Error('no connection')
    const later = vi.fn<Authorizer>(() => decisionOf('allow'))
    const union = unionOf(
      () => decisionOf('noOpinion'),
      () => fail(error),
      later,
    )
    expect(await union(attributes)).toEqual({
      ...{ decision: 'deny', rule: '', reason: 'internal error', shadow: [] },
      error,
    })
    expect(later).not.toHaveBeenCalled()
    await expect(async () => admit(attributes, union, () => undefined)).rejects.toBe(error)
  })

  test('an exception that is not an Error is denied as well', async () => {
    const decision = await unionOf(() => fail('text'))(attributes)
    expect(decision).toMatchObject({ decision: 'deny', error: new Error('text') })
  })

  test('shadow decisions of all authorizers that were asked are concatenated', async () => {
    const [a, b] = [
      { rule: 'a', effect: 'allow' },
      { rule: 'b', effect: 'deny' },
    ] as const
    const union = unionOf(
      () => decisionOf('noOpinion', 'first', [a]),
      () => decisionOf('noOpinion', 'second'),
      () => decisionOf('allow', 'third', [b]),
      () => decisionOf('allow', 'fourth', [a]),
    )
    expect(await union(attributes)).toEqual(decisionOf('allow', 'third', [a, b]))
  })

  test('shadow decisions are kept when a later authorizer fails', async () => {
    const shadow: ShadowDecision = { rule: 'a', effect: 'allow' }
    const union = unionOf(
      () => decisionOf('noOpinion', 'first', [shadow]),
      () => fail(new Error('no connection')),
    )
    expect(await union(attributes)).toMatchObject({ decision: 'deny', shadow: [shadow] })
  })
})

test('a union returns no promise until an authorizer does', async () => {
  const waits = vi.fn<Authorizer>(async () => decisionOf('allow', 'late'))
  const allows = (username: string): Authorizer => {
    return (asked) => decisionOf(asked.user.username === username ? 'allow' : 'noOpinion')
  }
  const union = createAuthorizerUnion([allows('grace'), allows('ada'), waits])
  expect(union(attributes)).not.toBeInstanceOf(Promise)
  expect(waits).not.toHaveBeenCalled()

  const other = union({ ...attributes, user: user('barbara') })
  expect(other).toBeInstanceOf(Promise)
  expect(await other).toMatchObject({ decision: 'allow', reason: 'late' })
})

test('a union goes on synchronously after an authorizer that had to wait', async () => {
  const union = createAuthorizerUnion([
    async () => decisionOf('noOpinion', 'first'),
    () => decisionOf('allow', 'second'),
  ])
  expect(await union(attributes)).toEqual(decisionOf('allow', 'second'))
})

test('a union without authorizers allows nothing', () => {
  const union = createAuthorizerUnion([])
  expect(union(attributes)).toMatchObject({ decision: 'noOpinion' })
  expect(() => admit(attributes, union, () => undefined)).toThrow('no authorizer is configured')
})
