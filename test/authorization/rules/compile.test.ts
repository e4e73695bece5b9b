import { describe, expect, test } from 'vitest'

import { allowAll, asking, core, EVERYTHING } from './fixtures.ts'

test('a deny rule overrides an allow rule, whichever comes first', () => {
  const deny = { name: 'no-secrets', effect: 'deny', verbs: ['*'], resources: core('secrets') }
  for (const rules of [
    [allowAll, deny],
    [deny, allowAll],
  ]) {
    const ask = asking(rules)
    expect(ask('GET /api/v1/secrets')).toMatchObject({ decision: 'deny', rule: 'no-secrets' })
    expect(ask('GET /api/v1/pods')).toMatchObject({ decision: 'allow', rule: 'all' })
  }
})

test('a request that no rule matches gets the default, which is to deny', () => {
  expect(asking([])('GET /api/v1/pods').decision).toBe('noOpinion')
  expect(asking([], 'allow')('GET /api/v1/pods').decision).toBe('allow')
})

test('the reason of a deny is the message and the name of the rule', () => {
  const ask = asking([
    { name: 'no', effect: 'deny', verbs: ['*'], resources: EVERYTHING, message: 'Ask #platform.' },
  ])
  expect(ask('GET /api/v1/pods').reason).toBe('Ask #platform. (Gatehouse rule "no")')
})

describe('shadow rules', () => {
  const shadow = (effect: string, resource: string) => ({
    name: `try-${effect}`,
    effect,
    mode: 'shadow',
    verbs: ['*'],
    resources: core(resource),
  })

  test('report what they would have changed, and change nothing', () => {
    const ask = asking([
      { ...allowAll, resources: core('pods') },
      shadow('deny', 'pods'),
      shadow('allow', 'secrets'),
    ])
    expect(ask('GET /api/v1/pods')).toMatchObject({
      decision: 'allow',
      shadow: [{ rule: 'try-deny', effect: 'deny' }],
    })
    expect(ask('GET /api/v1/secrets')).toMatchObject({
      decision: 'noOpinion',
      shadow: [{ rule: 'try-allow', effect: 'allow' }],
    })
  })

  test('are not reported when they would not change the decision', () => {
    const ask = asking([
      { name: 'no', effect: 'deny', verbs: ['*'], resources: core('pods') },
      shadow('deny', 'pods'),
      shadow('allow', 'pods'),
    ])
    expect(ask('GET /api/v1/pods').shadow).toEqual([])
  })
})
