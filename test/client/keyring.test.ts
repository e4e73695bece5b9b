/** The cache with a keyring, which is a stand-in here: CI has no desktop. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'

import type { Session, SessionId } from '../../src/client/session/session.ts'
import { createSessionStore, type SessionStore } from '../../src/client/session/store.ts'

const keyring = vi.hoisted(() => ({ password: undefined as string | undefined, isThere: true }))

vi.mock('@napi-rs/keyring', () => ({
  AsyncEntry: class {
    getPassword(): Promise<string | undefined> {
      return keyring.isThere ? Promise.resolve(keyring.password) : Promise.reject(new Error('none'))
    }
    setPassword(password: string): Promise<void> {
      if (!keyring.isThere) return Promise.reject(new Error('none'))
      keyring.password = password
      return Promise.resolve()
    }
  },
}))

const ID: SessionId = {
  server: { origin: 'https://gatehouse.example', certificateAuthority: '' },
  ...{ account: '', method: '' },
}
const SESSION: Session = {
  facts: {
    ...{ issuer: 'https://issuer.example', clientID: 'c', scopes: ['openid'], subject: 's' },
    ...{ renewAt: 1, expiresAt: 2, discoveryURL: '', issuerCA: '' },
  },
  secrets: { token: 'the-token', refreshToken: 'the-refresh-token' },
}

let directory = ''
let store: SessionStore

beforeEach(async () => {
  Object.assign(keyring, { password: undefined, isThere: true })
  directory = await mkdtemp(join(tmpdir(), 'gatehouse-keyring-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  store = createSessionStore({ directory, cache: 'auto' })
})

async function file(): Promise<string> {
  const [name = ''] = await readdir(directory)
  return join(directory, name)
}

test('secrets are encrypted in the file, and come back', async () => {
  await store.write(ID, SESSION)
  expect(await readFile(await file(), 'utf8')).not.toMatch(/the-(?:refresh-)?token/)
  expect(await store.read(ID)).toEqual(SESSION)
})

test('without a keyring, they are in the file, unless the user forbids it', async () => {
  keyring.isThere = false
  await store.write(ID, SESSION)
  expect(await readFile(await file(), 'utf8')).toContain('the-token')
  expect(await store.read(ID)).toEqual(SESSION)
  const strict = createSessionStore({ directory, cache: 'keyring' })
  await expect(strict.write(ID, SESSION)).rejects.toThrow('there is no keyring')
})

test('with another key in the keyring, there is no session', async () => {
  await store.write(ID, SESSION)
  keyring.password = Buffer.alloc(32, 1).toString('base64')
  expect(await store.read(ID)).toBeUndefined()
  keyring.password = undefined
  expect([await store.read(ID), store.has(ID)]).toEqual([undefined, true])
})

test.for<readonly [string, (text: string) => string, SessionId?]>([
  ['issuer', (text) => text.replace('https://issuer.example', 'https://evil.example')],
  [
    'metadata',
    (text) => text.replace('"discoveryURL":""', '"discoveryURL":"https://evil.example"'),
  ],
  ['client', (text) => text.replace('"clientID":"c"', '"clientID":"d"')],
  ['expiry', (text) => text.replace('"expiresAt":2', '"expiresAt":9e15')],
  ['sealed text', (text) => text.replace(/"sealed":"..../, '"sealed":"AAAA')],
  [
    'server',
    (text) => text.replace('https://gatehouse.example', 'https://evil.example'),
    { ...ID, server: { ...ID.server, origin: 'https://evil.example' } },
  ],
])('a file whose %s somebody has changed is not a session', async ([, change, id = ID]) => {
  await store.write(ID, SESSION)
  const text = await readFile(await file(), 'utf8')
  expect(change(text)).not.toBe(text)
  await rm(await file())
  // Under the name that is read.
  await store.write(id, SESSION)
  await writeFile(await file(), change(text))
  expect(await store.read(id)).toBeUndefined()
})
