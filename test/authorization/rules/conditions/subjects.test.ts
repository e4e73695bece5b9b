import { describe, expect, test } from 'vitest'

import { userWithUnasserted } from '../../fixtures.ts'
import { allowAll, asking, askingAs, core } from '../fixtures.ts'

const rule = (subjects: object) => ({ ...allowAll, subjects })

test('a matching user name or group is enough, and may match by prefix', () => {
  const ask = asking([rule({ users: ['ada', 'ci-*'], groups: ['oidc:eng*'] })])
  expect(ask('GET /api/v1/pods', [], 'ada').decision).toBe('allow')
  expect(ask('GET /api/v1/pods', [], 'ci-42').decision).toBe('allow')
  expect(ask('GET /api/v1/pods', ['oidc:engineers'], 'x').decision).toBe('allow')
  expect(ask('GET /api/v1/pods', ['oidc:en'], 'x').decision).toBe('noOpinion')
  expect(ask('GET /api/v1/pods', [], 'adam').decision).toBe('noOpinion')
})

test('a deny rule for a group does not match other users', () => {
  const ask = asking([
    allowAll,
    { ...rule({ groups: ['interns'] }), name: 'no', effect: 'deny', resources: core('secrets') },
  ])
  expect(ask('GET /api/v1/secrets', ['interns']).decision).toBe('deny')
  expect(ask('GET /api/v1/secrets', ['engineers']).decision).toBe('allow')
})

describe('a user whose token does not state the groups', () => {
  const unknown = userWithUnasserted('unknown')
  const deny = { ...rule({ groups: ['interns'] }), name: 'no', effect: 'deny' }
  const POD = 'GET /api/v1/namespaces/d/pods/a'

  test('is denied by every deny rule for groups, and the reason explains it', () => {
    for (const groups of [['interns'], ['oidc:*'], ['a', 'b*']]) {
      const decision = askingAs(unknown, [allowAll, { ...deny, subjects: { groups } }])(POD)
      expect(decision).toMatchObject({ decision: 'deny', rule: 'no' })
      expect(decision.reason).toMatch(
        /^denied by Gatehouse rule "no": the token has no groups claim/,
      )
    }
  })

  test('is denied although the default is allow', () => {
    expect(askingAs(unknown, [deny], 'allow')(POD).decision).toBe('deny')
  })

  test('is not denied by a deny rule for other resources or for user names', () => {
    const secrets = { ...deny, resources: core('secrets') }
    const users = { ...deny, subjects: { users: ['bob'] } }
    const ask = askingAs(unknown, [allowAll, secrets, users])
    expect(ask(POD)).toMatchObject({ decision: 'allow', reason: 'allowed by Gatehouse rule "all"' })
    expect(ask('GET /api/v1/namespaces/d/secrets/a').decision).toBe('deny')
  })

  test('is allowed by no rule for groups except system:authenticated, and the reason explains it', () => {
    const decision = askingAs(unknown, [rule({ groups: ['interns', 'oidc:*'] })])(POD)
    expect(decision.decision).toBe('noOpinion')
    expect(decision.reason).toMatch(/^no Gatehouse rule allows this: the token has no groups claim/)
    const everybody = askingAs(unknown, [rule({ groups: ['system:authenticated'] })])
    expect(everybody(POD).decision).toBe('allow')
  })

  test('is counted by a deny rule in shadow mode', () => {
    const shadow = [{ rule: 'no', effect: 'deny' }]
    const decision = askingAs(unknown, [allowAll, { ...deny, mode: 'shadow' }])(POD)
    expect(decision).toMatchObject({ decision: 'allow', shadow })
  })

  test('gets no explanation of a deny that does not depend on groups', () => {
    const rules = [allowAll, { ...deny, subjects: { users: ['ada'], groups: ['interns'] } }]
    expect(askingAs(unknown, rules)(POD).reason).toBe('denied by Gatehouse rule "no"')
  })
})

test('groups that are not asserted count for deny rules and not for allow rules', () => {
  const someone = userWithUnasserted(['interns'])
  const deny = { ...rule({ groups: ['intern*'] }), name: 'no', effect: 'deny' }
  const list = 'GET /api/v1/pods'
  expect(askingAs(someone, [allowAll, deny])(list).reason).toMatch(
    /a group of the user is not sent to the API server/,
  )
  const missed = askingAs(someone, [rule({ groups: ['interns'] })])(list)
  expect(missed.decision).toBe('noOpinion')
  expect(missed.reason).toMatch(/cannot be sent, so only deny rules count it/)
  // Members of the group would be refused as well.
  const unrelated = askingAs(someone, [rule({ groups: ['others'] })])(list)
  expect(unrelated).toMatchObject({
    decision: 'noOpinion',
    reason: 'no Gatehouse rule allows this',
  })
  const other = { ...deny, subjects: { groups: ['others'] } }
  expect(askingAs(someone, [allowAll, other])(list).decision).toBe('allow')
})
