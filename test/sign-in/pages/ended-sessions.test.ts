import { expect, test } from 'vitest'

import { createEndedSessions } from '../../../src/sign-in/pages/ended-sessions.ts'
import { createSession, type Session } from '../../../src/sign-in/pages/session.ts'

const LIFETIME = 1_000
const ISSUER = 'https://issuer.example'
let now = 10_000

function ends(maxEntries = 100) {
  now = 10_000
  return createEndedSessions({ lifetime: LIFETIME, maxEntries }, { now: () => now })
}

function sessionOf(subject: string, session?: string, at = now): Session {
  const user = { username: subject, uid: '', groups: [], extra: {} }
  return createSession(
    { user, method: 'oidc', annotations: {} },
    { issuer: ISSUER, subject, session, idToken: 'x' },
    { now: at, lifetime: LIFETIME },
  )
}

test('signing out ends one session, and no other of the user', () => {
  const ended = ends()
  const [one, other] = [sessionOf('ada', 's-1'), sessionOf('ada', 's-2')]
  ended.end(one)
  expect([one, other].map((session) => ended.isEnded(session))).toEqual([true, false])
})

test('the issuer ends its session, or all sessions of a user', () => {
  const ended = ends()
  const sessions = [
    sessionOf('ada', 's-1'),
    sessionOf('ada', 's-2'),
    sessionOf('ada'),
    sessionOf('bob', 's-3'),
  ]
  const state = (): boolean[] => sessions.map((session) => ended.isEnded(session))
  ended.endAtIssuer({ issuer: 'https://other.example', subject: 'ada', session: 's-1' })
  expect(state()).toEqual([false, false, false, false])
  // A session that the issuer did not name when it began may be the one that it names now.
  ended.endAtIssuer({ issuer: ISSUER, subject: 'ada', session: 's-1' })
  expect(state()).toEqual([true, false, true, false])
  ended.endAtIssuer({ issuer: ISSUER, subject: 'ada', session: undefined })
  expect(state()).toEqual([true, true, true, false])
})

test('a session that begins later is not ended', () => {
  const ended = ends()
  ended.endAtIssuer({ issuer: ISSUER, subject: 'ada', session: undefined })
  now += 1
  expect(ended.isEnded(sessionOf('ada', 's-4'))).toBe(false)
})

test('a flood of ends lets no session live on', () => {
  const ended = ends(3)
  const session = sessionOf('ada', 's-1')
  now += 10
  ended.end(session)
  for (let i = 0; i < 10; i++) {
    now += 10
    ended.endAtIssuer({ issuer: ISSUER, subject: undefined, session: `other-${i}` })
  }
  expect(ended.isEnded(session)).toBe(true)
  now += 1
  expect(ended.isEnded(sessionOf('ada', 's-5'))).toBe(false)
})
