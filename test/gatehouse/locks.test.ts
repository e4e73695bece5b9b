/** Locks of a file, as they reach a running Gatehouse and its users. */
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { text } from 'node:stream/consumers'

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'

import type { KeyPair } from '../../certs-dev/pki.ts'
import { waitUntil } from '../../dev/parts/wait-until.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { scrape } from '../support/scrape.ts'
import { openWatch, replaceAndReload } from '../support/reloading.ts'

const PODS = '/api/v1/namespaces/d/pods'
const WHOAMI = '/gatehouse/api/whoami'
const REASON = 'Laptop stolen, ticket 4711.'

type Target = Readonly<Record<string, string>>

let api: ApiServer
let gatehouse: TestGatehouse
let certificate: KeyPair
let token: string

beforeAll(async () => {
  api = await startApiServer()
  gatehouse = await startTestGatehouse({
    upstream: upstreamOf(api),
    configuration: { locks: { file: 'locks.yaml' } },
    files: { 'locks.yaml': locksOf([]) },
  })
  certificate = await gatehouse.certificate({ commonName: 'ada', organizations: ['engineers'] })
  token = await gatehouse.token({ sub: 'ada', groups: ['engineers'], jti: 'j-1' })
})

afterAll(async () => {
  await gatehouse.close()
  await api.close()
})

beforeEach(async () => {
  await lock([])
  await waitUntil('the token is accepted', async () => (await byToken()).status === 200)
  await waitUntil('the certificate is', async () => (await byCertificate()).status === 200)
})

let changes = 0

function locksOf(targets: readonly Target[]): string {
  const marker = { user: `change ${++changes}` }
  const locks = [marker, ...targets].map((target) => ({ ...target, reason: REASON }))
  return stringify({ apiVersion: 'gatehouse/v1', kind: 'Locks', locks })
}

const lock = (targets: readonly Target[]) =>
  replaceAndReload(gatehouse, 'locks.yaml', locksOf(targets))

interface Response {
  readonly status: number | undefined
  readonly message: string | undefined
}

async function get(path: string, options: object): Promise<Response> {
  const sent = request(gatehouse.url + path, { ca: gatehouse.ca, agent: false, ...options })
  sent.end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  const { message } = JSON.parse(await text(response)) as { message?: string }
  return { status: response.statusCode, message }
}

const byToken = (path = PODS, of = token): Promise<Response> =>
  get(path, { headers: { authorization: `Bearer ${of}` } })
const byCertificate = (path = PODS): Promise<Response> =>
  get(path, { cert: certificate.certificatePem, key: certificate.keyPem })

const serial = (): string => new X509Certificate(certificate.certificatePem).serialNumber

describe('a lock', () => {
  test.for([
    ['a user of tokens', () => ({ user: 'oidc:ada' }), 'token', 'user "oidc:ada"'],
    ['a user of certificates', () => ({ user: 'ada' }), 'certificate', 'user "ada"'],
    ['a group', () => ({ group: 'oidc:engineers' }), 'token', 'group "oidc:engineers"'],
    ['a token', () => ({ tokenID: 'j-1' }), 'token', 'the token with the ID "j-1"'],
    [
      'a certificate',
      () => ({ certificateSerial: serial() }),
      'certificate',
      'the certificate with the serial number ',
    ],
  ] as const)('of %s refuses these requests, and no others', async ([, target, by, name]) => {
    const [locked, other] =
      by === 'token' ? ([byToken, byCertificate] as const) : ([byCertificate, byToken] as const)
    await lock([target()])
    await expect.poll(() => locked()).toMatchObject({ status: 403 })
    const refused = await locked()
    expect(refused.message).toContain(name)
    expect(refused.message).toContain(`is locked: ${REASON}`)
    expect(await locked(WHOAMI)).toEqual(refused)
    expect(await other()).toMatchObject({ status: 200 })
    expect(await other(WHOAMI)).toMatchObject({ status: 200 })
  })

  test('of an address refuses every credential that comes from it', async () => {
    await lock([{ address: '127.0.0.0/8' }])
    await expect.poll(() => byToken()).toMatchObject({ status: 403 })
    const message = `the address 127.0.0.0/8 is locked: ${REASON}`
    expect(await byCertificate()).toEqual({ status: 403, message })
  })

  test('of a group refuses a token that does not state its groups', async () => {
    const withoutGroups = await gatehouse.token({ sub: 'eve' })
    await lock([{ group: 'oidc:contractors' }])
    await expect.poll(() => byToken(PODS, withoutGroups)).toMatchObject({ status: 403 })
    expect((await byToken(PODS, withoutGroups)).message).toBe(
      `group "oidc:contractors" is locked, and the credential does not state its groups: ${REASON}`,
    )
    expect(await byToken()).toMatchObject({ status: 200 })
  })

  test('does not tell an unauthenticated client anything', async () => {
    await lock([{ address: '127.0.0.1' }, { user: 'oidc:ada' }])
    await expect.poll(() => byToken()).toMatchObject({ status: 403 })
    expect(await byToken(PODS, `${token.slice(0, -8)}AAAAAAAA`)).toEqual({
      status: 401,
      message: 'Unauthorized',
    })
    expect(await get(PODS, {})).toMatchObject({ status: 401 })
  })

  test('is in the audit event of each request that it refuses, beside the user', async () => {
    await lock([{ user: 'oidc:ada' }])
    await expect.poll(() => byToken(`${PODS}/event`)).toMatchObject({ status: 403 })
    const events = await gatehouse.eventsWhere(
      ({ requestURI, responseStatus }) =>
        requestURI === `${PODS}/event` && responseStatus?.code === 403,
    )
    expect(events[0]).toMatchObject({
      user: { username: 'oidc:ada' },
      responseStatus: { reason: 'Forbidden', message: `user "oidc:ada" is locked: ${REASON}` },
      annotations: { 'gatehouse/lock': 'user "oidc:ada"', 'gatehouse/method': 'oidc' },
    })
  })

  test('ends a watch with the reason, and the audit event names it', async () => {
    const watch = await openWatch({ gatehouse, api })
    const rest = text(watch)
    await lock([{ user: 'oidc:ada' }])
    const event = JSON.parse(await rest) as object
    expect(event).toMatchObject({
      type: 'ERROR',
      object: { code: 403, message: `user "oidc:ada" is locked: ${REASON}` },
    })
    const [ended] = await gatehouse.eventsWhere(
      ({ verb, stage }) => verb === 'watch' && stage === 'ResponseComplete',
    )
    expect(ended?.annotations).toMatchObject({
      'gatehouse/abortedBy': 'gatehouse',
      'gatehouse/lock': 'user "oidc:ada"',
      'gatehouse/cause': `user "oidc:ada" is locked: ${REASON}`,
    })
  })

  test('is counted in the metrics by what it locks', async () => {
    await lock([{ group: 'oidc:a' }, { group: 'oidc:b' }, { tokenID: 'j' }])
    const labels = (target: string) => `gatehouse_locks{source="file",target="${target}"}`
    await expect
      .poll(() => scrape(gatehouse, 'gatehouse_locks{source="file"'))
      // One user: the marker.
      .toEqual([
        `${labels('user')} 1`,
        `${labels('group')} 2`,
        `${labels('certificateSerial')} 0`,
        `${labels('tokenID')} 1`,
        `${labels('address')} 0`,
        `${labels('disabledAccount')} 0`,
      ])
  })

  test('file with problems changes nothing, and the problems have line and field', async () => {
    await lock([{ user: 'oidc:ada' }])
    await expect.poll(() => byToken()).toMatchObject({ status: 403 })
    await replaceAndReload(
      gatehouse,
      'locks.yaml',
      `${locksOf([])}  - { user: a, group: b, reason: x }\n  - { user: c }\n`,
    )
    const failed = (): string | undefined =>
      gatehouse.log.findLast((line) => line.includes('reload failed'))
    await expect.poll(failed).toContain('locks[1]: must name one target')
    expect(failed()).toContain('locks[2].reason: is required')
    expect(await byToken()).toMatchObject({ status: 403 })
  })
})
