/** Users whom another proxy names in headers: nobody else can name one. */
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { createAuthority, type Authority, type KeyPair } from '../../certs-dev/pki.ts'
import { replaceFile } from '../support/files.ts'
import { headerValues } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import { connectRaw } from '../support/raw.ts'

const PODS = '/api/v1/namespaces/d/pods'

let directory: string
let attack: Attack
let proxies: Authority
let people: Authority
let proxy: KeyPair

const file = (name: string): string => join(directory, name)

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gatehouse-test-'))
  ;[proxies, people] = await Promise.all([
    createAuthority({ commonName: 'proxies' }),
    createAuthority({ commonName: 'people' }),
  ])
  proxy = await proxies.issue({ commonName: 'front-proxy', usages: ['client'] })
  await writeFile(file('proxies.crt'), proxies.certificatePem)
  await writeFile(file('people.crt'), people.certificatePem)
  attack = await startFronted({})
})

afterAll(async () => {
  await attack.expectNoSecretLeaked()
  await attack.close()
  await rm(directory, { recursive: true, force: true })
})

const startFronted = (
  options: Readonly<Record<string, unknown>>,
  others: Readonly<Record<string, unknown>> = {},
): Promise<Attack> =>
  startAttack({
    configuration: {
      ...others,
      authentication: {
        x509: {
          clientCAFile: file('people.crt'),
          authorities: [],
          frontProxy: {
            caFile: file('proxies.crt'),
            trustedNetworks: ['127.0.0.0/8'],
            allowedNames: ['front-proxy'],
            ...options,
          },
        },
      },
    },
  })

type Fields = readonly (readonly [name: string, value: string])[]

/** Sends a request with a client certificate and these fields, byte by byte. */
async function send(fields: Fields, certificate = proxy, through = attack) {
  const head = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const { value, received, events } = await through.watching(() =>
    through.send(`GET ${PODS} HTTP/1.1\r\nHost: gatehouse\r\n${head}\r\n`, certificate),
  )
  const identity = received.map(({ headers }) =>
    headers
      .filter(([name]) => /^(?:impersonate-|x-remote-)/.test(name))
      .map(([name, text]) => `${name}: ${Buffer.from(text, 'latin1').toString('utf8')}`),
  )
  const annotations = events[0]?.annotations
  const { status, body } = value.response
  return { status, body, identity, annotations, cause: annotations?.['gatehouse/cause'] }
}

const USER = ['X-Remote-User', 'ada'] as const
const authenticated = 'impersonate-group: system:authenticated'

test('the user, the groups, the uid and the extras of the headers reach the API server', async () => {
  const { status, identity, annotations } = await send([
    ['x-REMOTE-user', 'ada lovelace'],
    ['X-Remote-Group', 'dev'],
    ['X-Remote-Group', 'a, b'],
    ['X-Remote-Group', ''],
    ['X-Remote-Group', 'dev'],
    ['X-Remote-Uid', '7'],
    ['X-Remote-Extra-Team', 'x'],
    ['X-Remote-Extra-team', 'y'],
    ['X-Remote-Extra-example.com%2FScope', Buffer.from('grün').toString('latin1')],
  ])
  expect(status).toBe(200)
  expect(identity[0]?.toSorted()).toEqual([
    'impersonate-extra-example.com%2fscope: grün',
    'impersonate-extra-team: x',
    'impersonate-extra-team: y',
    'impersonate-group: a, b',
    'impersonate-group: dev',
    authenticated,
    'impersonate-uid: 7',
    'impersonate-user: ada lovelace',
  ])
  expect(annotations).toMatchObject({ 'authentication.gatehouse/front-proxy': 'front-proxy' })
})

test('two users over one connection are two users', async () => {
  const names = ['ada', 'grace', 'ada']
  for (const name of names) {
    const { identity } = await send([['X-Remote-User', name]])
    expect(identity).toEqual([[`impersonate-user: ${name}`, authenticated]])
  }
})

describe('the API server sees nothing', () => {
  test.for<readonly [what: string, fields: Fields, code: number]>([
    ['of a front proxy that names nobody', [], 401],
    ['of one that names an empty user', [['X-Remote-User', '']], 401],
    ['of one that names only a group', [['X-Remote-Group', 'system:masters']], 401],
    ['of two users', [USER, ['X-Remote-User', 'root']], 401],
    ['of the same user twice', [USER, USER], 401],
    ['of two uids', [USER, ['X-Remote-Uid', '1'], ['X-Remote-Uid', '2']], 401],
    ['of a user whose name has an underscore for a dash', [['X_Remote_User', 'ada']], 401],
    ['of a name that is not UTF-8', [['X-Remote-User', 'ad\xe9']], 401],
    ['of a group that is not UTF-8', [USER, ['X-Remote-Group', '\xff']], 401],
    ['of an extra whose key is not UTF-8', [USER, ['X-Remote-Extra-%ff', 'x']], 401],
    ['of a member of system:masters', [USER, ['X-Remote-Group', 'system:masters']], 403],
    ['of a service account', [['X-Remote-User', 'system:serviceaccount:a:b']], 403],
    ['of a user of an issuer', [['X-Remote-User', 'oidc:ada']], 403],
    ['of a group of an issuer', [USER, ['X-Remote-Group', 'oidc:dev']], 403],
    ['of an extra without a key', [USER, ['X-Remote-Extra-', 'x']], 403],
    ['of an extra of Gatehouse', [USER, ['X-Remote-Extra-Gatehouse%2fOriginal-User', 'x']], 403],
    ['of a user and a token', [USER, ['Authorization', 'Bearer x']], 401],
    ['of a user who acts as another', [USER, ['Impersonate-User', 'eve']], 403],
  ])('%s', async ([, fields, code]) => {
    const { status, identity } = await send(fields)
    expect({ status, identity }).toEqual({ status: code, identity: [] })
  })

  test('of a certificate whose name is not allowed', async () => {
    const other = await proxies.issue({ commonName: 'other', usages: ['client'] })
    expect(await send([USER], other)).toMatchObject({
      ...{ status: 401, identity: [] },
      cause: 'the front proxy is "other", which is not in allowedNames',
    })
  })

  test('of a certificate with the allowed name of another CA', async () => {
    const mallory = await createAuthority({ commonName: 'proxies' })
    const forged = await mallory.issue({ commonName: 'front-proxy', usages: ['client'] })
    expect(await send([USER], forged)).toMatchObject({ status: 401, identity: [] })
  })

  test('of a server certificate', async () => {
    const server = await proxies.issue({ commonName: 'front-proxy', usages: ['server'] })
    expect(await send([USER], server)).toMatchObject({ status: 401, identity: [] })
  })

  test('of a front proxy in another network', async () => {
    const elsewhere = await startFronted({ trustedNetworks: ['10.0.0.0/8'] })
    expect(await send([USER], proxy, elsewhere)).toMatchObject({
      ...{ status: 401, identity: [] },
      cause: 'the front proxy connects from 127.0.0.1, which is not in trustedNetworks',
    })
    await elsewhere.close()
  })
})

describe('the headers of anybody else are dropped', () => {
  test('of a user with a certificate', async () => {
    const ada = await people.issue({ commonName: 'front-proxy', usages: ['client'] })
    const fields: Fields = [
      ['X-Remote-User', 'root'],
      ['X-Remote-Group', 'system:masters'],
    ]
    const { status, identity } = await send(fields, ada)
    expect(status).toBe(200)
    expect(
      identity.map((lines) =>
        lines.filter(
          (line) =>
            !line.startsWith('impersonate-extra-authentication.kubernetes.io%2fcredential-id: '),
        ),
      ),
    ).toEqual([['impersonate-user: front-proxy', authenticated]])
  })

  test('of a user with a token', async () => {
    const [, value = ''] = /: (.*)\r\n/.exec(await attack.bearer()) ?? []
    const fields: Fields = [
      ['Authorization', value],
      ['X-Remote-User', 'root'],
    ]
    const { received } = await attack.watching(() =>
      attack.send(
        `GET ${PODS} HTTP/1.1\r\nHost: gatehouse\r\n${fields.map(([name, text]) => `${name}: ${text}\r\n`).join('')}\r\n`,
      ),
    )
    expect(headerValues(received[0]!, 'impersonate-user')).toEqual(['oidc:ada'])
    expect(headerValues(received[0]!, 'x-remote-user')).toEqual([])
  })

  test('of a client without a credential', async () => {
    const { value, received } = await attack.watching(() =>
      attack.send(`GET ${PODS} HTTP/1.1\r\nHost: gatehouse\r\nX-Remote-User: root\r\n\r\n`),
    )
    expect(value.response.status).toBe(401)
    expect(received).toEqual([])
  })
})

test('other names of headers count only where they are configured, in their order', async () => {
  const renamed = await startFronted({
    usernameHeaders: ['X-User', 'X-Other-User'],
    groupHeaders: ['X-Groups', 'X-Teams'],
    extraHeaderPrefixes: ['X-Claim-'],
    allowedNames: [],
  })
  const other = await proxies.issue({ commonName: 'whatever', usages: ['client'] })
  const fields: Fields = [
    ['X-Remote-User', 'root'],
    ['X-Remote-Extra-A', 'x'],
    ['X-User', ''],
    ['X-Other-User', 'ada'],
    ['X-Teams', 'b'],
    ['X-Groups', 'a'],
  ]
  const { identity } = await send(fields, other, renamed)
  expect(identity).toEqual([
    ['impersonate-user: ada', 'impersonate-group: a', 'impersonate-group: b', authenticated],
  ])
  await renamed.close()
})

test('a lock of the certificate of a front proxy refuses all of its users', async () => {
  const certificateSerial = new X509Certificate(proxy.certificatePem).serialNumber
  const locks = [{ certificateSerial, reason: 'Broken into.' }]
  await writeFile(
    file('locks.yaml'),
    JSON.stringify({ apiVersion: 'gatehouse/v1', kind: 'Locks', locks }),
  )
  const locking = await startFronted({}, { locks: { file: file('locks.yaml') } })
  for (const name of ['ada', 'grace']) {
    const { status, identity, body } = await send([['X-Remote-User', name]], proxy, locking)
    expect({ status, identity }).toEqual({ status: 403, identity: [] })
    expect(body).toContain('Broken into.')
  }
  await locking.close()
})

test('a CA that is no longer one of front proxies ends the streams of their users', async () => {
  const own = await startFronted({})
  own.api.handler = (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write('{"type":"ADDED"}\n')
  }
  const watch = await connectRaw(own.gatehouse, { certificate: proxy })
  watch.write(`GET ${PODS}?watch=true HTTP/1.1\r\nHost: gatehouse\r\nX-Remote-User: grace\r\n\r\n`)
  await own.gatehouse.eventsWhere(
    ({ stage, user }) => stage === 'ResponseStarted' && user.username === 'grace',
  )
  const next = await createAuthority({ commonName: 'next' })
  await replaceFile(file('proxies.crt'), next.certificatePem)
  own.gatehouse.gatehouse.reload()
  const ended = await own.gatehouse.eventsWhere(
    ({ stage, user }) => stage === 'ResponseComplete' && user.username === 'grace',
  )
  expect(ended).toHaveLength(1)
  watch.destroy()
  await own.close()
  await replaceFile(file('proxies.crt'), proxies.certificatePem)
})
