import { expect, test } from 'vitest'

import { allowAll, asking, core } from '../fixtures.ts'

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
