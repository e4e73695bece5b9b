import { expect, test } from 'vitest'

import { createMemoryRevocationStore } from '../../../src/revocations/memory-store.ts'
import { revocationsOf, type SessionEnd } from '../../../src/revocations/revocation.ts'
import { createRevocationSet } from '../../../src/revocations/revocation-set.ts'
import { createEndedSessions } from '../../../src/sign-in/pages/ended-sessions.ts'
import { createSession, type Session } from '../../../src/sign-in/pages/session.ts'
import { StatusError } from '../../../src/status.ts'

const LIFETIME = 1_000
const ISSUER = 'https://issuer.example'
const NOW = 10_000

function keep(maxEntries: number) {
  const set = createRevocationSet({ now: () => NOW, onChanged: () => undefined })
  const effects = { set, onSize: () => undefined }
  return { set, store: createMemoryRevocationStore({ maxEntries }, effects) }
}

function ends(maxEntries = 100) {
  const [issuers, own] = [keep(maxEntries), keep(maxEntries)]
  return {
    ...{ ended: createEndedSessions({ issuers, own }), issuers, own },
    endAtIssuer: (end: Partial<SessionEnd>) => {
      const { subject, session, ...rest } = { issuer: ISSUER, at: NOW, event: 'x', ...end }
      return issuers.store.add({
        revocations: revocationsOf({ ...rest, subject, session }, { now: NOW, lifetime: 60_000 }),
      })
    },
  }
}

function sessionOf(subject: string, session?: string, issuedAt = NOW): Session {
  const user = { username: subject, uid: '', groups: [], extra: {} }
  const origin = { issuer: ISSUER, subject, session, issuedAt, credentialIssuedAt: issuedAt }
  return createSession(
    { user, method: 'oidc', annotations: {}, origin },
    { issuer: ISSUER, subject, session, idToken: 'x' },
    { now: NOW, lifetime: LIFETIME },
  )
}

test('signing out ends one session, and no other of the user', async () => {
  const { ended } = ends()
  const [one, other] = [sessionOf('ada', 's-1'), sessionOf('ada', 's-2')]
  await ended.end(one)
  expect([one, other].map((session) => ended.isEnded(session))).toEqual([true, false])
})

test('the issuer ends its session, or all sessions of a user', async () => {
  const { ended, endAtIssuer } = ends()
  const sessions = [
    sessionOf('ada', 's-1'),
    sessionOf('ada', 's-2'),
    sessionOf('ada'),
    sessionOf('bob', 's-3'),
  ]
  const state = (): boolean[] => sessions.map((session) => ended.isEnded(session))
  await endAtIssuer({ issuer: 'https://other.example', subject: 'ada', session: 's-1' })
  expect(state()).toEqual([false, false, false, false])
  // A session that the issuer did not name when it began may be the one that it names now.
  await endAtIssuer({ subject: 'ada', session: 's-1' })
  expect(state()).toEqual([true, false, true, false])
  await endAtIssuer({ subject: 'ada' })
  expect(state()).toEqual([true, true, true, false])
})

test('a session whose ID token was issued later is not ended', async () => {
  const { ended, endAtIssuer } = ends()
  await endAtIssuer({ subject: 'ada' })
  expect(ended.isEnded(sessionOf('ada', 's-4', NOW + 1_000))).toBe(false)
})

test('users who sign out again and again leave the ends of issuers alone', async () => {
  const { ended, endAtIssuer } = ends(3)
  for (let i = 0; i < 3; i++) await ended.end(sessionOf('mallory'))
  await expect(ended.end(sessionOf('mallory'))).rejects.toThrow(StatusError)
  await endAtIssuer({ subject: 'ada' })
  expect(ended.isEnded(sessionOf('ada'))).toBe(true)
})
