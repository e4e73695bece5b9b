/** The cache of sign-ins: what stays in its directory. */
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

import { beforeEach, expect, onTestFinished, test } from 'vitest'

import { sessionFile, type Session, type SessionId } from '../../src/client/session/session.ts'
import { createSessionStore, type SessionStore } from '../../src/client/session/store.ts'

const idOf = (account: string): SessionId => ({
  server: { origin: 'https://gatehouse.example', certificateAuthority: '' },
  ...{ account, method: '' },
})
const SESSION: Session = {
  facts: {
    ...{ issuer: 'https://issuer.example', clientID: 'c', scopes: [], subject: 's' },
    ...{ renewAt: 1, expiresAt: 2, discoveryURL: '', issuerCA: '' },
  },
  secrets: { token: 't' },
}

let directory = ''
let store: SessionStore

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gatehouse-store-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  store = createSessionStore({ directory, cache: 'file' })
})

async function leave(name: string, hours: number): Promise<void> {
  const file = join(directory, name)
  await writeFile(file, 'x')
  const at = Date.now() / 1_000 - hours * 3_600
  await utimes(file, at, at)
}

test('locks and drafts that are a day old go with the next sign-in, and nothing else does', async () => {
  const other = basename(sessionFile(directory, idOf('other')))
  const old = [`${other}.lock.7`, `.${other}.lock.8.4711`, `${other}.0123456789ab.new`]
  const kept = [other, 'notes.txt', `${other}.old`]
  for (const name of [...old, ...kept]) await leave(name, 25)
  const recent = [`${other}.lock.9`, `${other}.ba9876543210.new`]
  for (const name of recent) await leave(name, 23)
  await store.write(idOf(''), SESSION)
  const own = basename(sessionFile(directory, idOf('')))
  expect((await readdir(directory)).toSorted()).toEqual([...kept, ...recent, own].toSorted())
})

test('signing out removes what a killed process has left of the session', async () => {
  const own = basename(sessionFile(directory, idOf('')))
  await store.write(idOf(''), SESSION)
  await leave(`${own}.0123456789ab.new`, 0)
  await store.write(idOf('other'), SESSION)
  store.remove(idOf(''))
  expect(await readdir(directory)).toEqual([basename(sessionFile(directory, idOf('other')))])
})
