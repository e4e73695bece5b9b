/** Transmitters of security events: their configuration, their keys, and events that are fetched from them. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import {
  createSigningKey,
  sendJson,
  startIssuer,
  type SigningKey,
  type TestIssuer,
} from '../authentication/oidc/issuer.ts'
import { AUDIENCE, EVENTS, signEvent, type EventOptions } from '../security-events/transmitter.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { createClient } from '../support/client.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { openWatch, replaceAndReload } from '../support/reloading.ts'
import { scrape } from '../support/scrape.ts'

const SOON = { interval: 20 }
const METADATA = '/.well-known/ssf-configuration'
const PATH = '/gatehouse/security-events'
const seconds = (): number => Math.floor(Date.now() / 1_000)

let api: ApiServer
let transmitter: TestIssuer
let key: SigningKey
let gatehouse: TestGatehouse | undefined

beforeEach(async () => {
  key = await createSigningKey('t-1')
  ;[api, transmitter] = await Promise.all([startApiServer(), startIssuer([key.publicJwk])])
  transmitter.overrides.set(METADATA, (_, response) => {
    sendJson(response, { issuer: transmitter.url, jwks_uri: `${transmitter.url}/keys` })
  })
})

afterEach(async () => {
  await gatehouse?.close()
  gatehouse = undefined
  await Promise.all([api.close(), transmitter.close()])
})

async function start(
  members: Readonly<Record<string, unknown>> = {},
  files: Readonly<Record<string, string>> = {},
): Promise<TestGatehouse> {
  gatehouse = await startTestGatehouse({
    upstream: upstreamOf(api),
    transmitter: {
      ...{ issuer: transmitter.url, audiences: [AUDIENCE] },
      certificateAuthorityFile: 'transmitter-ca.crt',
      ...members,
    },
    files: {
      'transmitter-ca.crt': transmitter.certificateAuthority,
      'keys.json': JSON.stringify({ keys: [key.publicJwk] }),
      authorization: 'Bearer first',
      ...files,
    },
  })
  return gatehouse
}

const PUSH = { push: {} }

async function problemOf(
  members: Readonly<Record<string, unknown>>,
  files?: Readonly<Record<string, string>>,
): Promise<string> {
  const error: unknown = await start(members, files).catch((reason: unknown) => reason)
  return (error as Error).message
}

function sign(sub: string, options: EventOptions = {}): Promise<string> {
  const subject = { format: 'iss_sub', iss: gatehouse!.issuer.url, sub }
  return signEvent(transmitter.url, key, { subject, ...options })
}

async function push(token: string, authorization?: string) {
  const { url, ca } = gatehouse!
  const client = createClient({ url, ca })
  const headers = {
    'content-type': 'application/secevent+jwt',
    ...(authorization === undefined ? {} : { authorization }),
  }
  const { status, body } = await client.ask(PATH, { method: 'POST', body: token, headers })
  await client.close()
  return { status, err: body === '' ? undefined : (JSON.parse(body) as { err?: string }).err }
}

async function ask(sub: string, path = '/api/v1/pods'): Promise<number> {
  const { url, ca } = gatehouse!
  const token = await gatehouse!.token({ sub, iat: seconds() - 30 })
  const client = createClient({ url, ca, token })
  const { status } = await client.ask(path)
  await client.close()
  return status
}

const logged = (message: string): readonly Readonly<Record<string, unknown>>[] =>
  gatehouse!.log
    .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
    .filter(({ msg }) => msg === message)

const readyz = async (): Promise<string> =>
  (await fetch(`${gatehouse!.probesUrl}/readyz?verbose`)).text()

describe('a transmitter', () => {
  const FIELD = 'authentication.securityEvents.transmitters[0]'
  test.for([
    [{}, `${FIELD}: does not say how its events come (set one of push, poll)`],
    [
      { ...PUSH, poll: { url: 'https://x.example/poll', authorizationFile: 'authorization' } },
      `${FIELD}: has push and poll`,
    ],
    [
      { ...PUSH, issuer: 'http://idp.example' },
      `${FIELD}.issuer: "http://idp.example" is not an https URL`,
    ],
    [{ ...PUSH, audiences: [] }, `${FIELD}.audiences: is empty`],
    [{ ...PUSH, issuers: [] }, `${FIELD}.issuers: is empty`],
    [
      { ...PUSH, issuers: ['https://x.example'] },
      `${FIELD}.issuers[0]: "https://x.example" is not an issuer in authentication.configFile`,
    ],
    [
      { ...PUSH, issuers: ['https://x.example', 'https://x.example'] },
      `${FIELD}.issuers[1]: "https://x.example" is listed twice`,
    ],
    [
      { ...PUSH, jwksFile: 'keys.json' },
      `${FIELD}.certificateAuthorityFile: has no effect with jwksFile`,
    ],
    [
      { ...PUSH, jwksFile: 'keys.json', configurationURL: 'https://x.example/' },
      `${FIELD}.configurationURL: has no effect with jwksFile`,
    ],
    [{ push: { authorizationFile: 'missing' } }, `${FIELD}.push.authorizationFile`],
  ] as const)('%j is a problem', async ([members, message]) => {
    expect(await problemOf(members)).toContain(message)
  })

  test.for([
    ['', 'is empty'],
    ['Bearer a\nBearer b\n', 'is not one line of printable ASCII characters'],
    ['Bearer ä', 'is not one line of printable ASCII characters'],
    ['Bearer x ', 'is not one line of printable ASCII characters'],
  ])('a header of %j is a problem', async ([header = '', message = '']) => {
    const found = await problemOf(
      { push: { authorizationFile: 'authorization' } },
      { authorization: header },
    )
    expect(found).toContain(message)
    expect(found).toContain(`${FIELD}.push.authorizationFile`)
  })

  test('that cannot be reached fails no check, and is asked to send its events again', async () => {
    transmitter.overrides.set(METADATA, (_, response) => void response.writeHead(500).end())
    await start(PUSH)
    await expect
      .poll(readyz, SOON)
      .toMatch(
        new RegExp(
          `^\\[\\+\\]security-events ${transmitter.url} ok .*responded with HTTP 500`,
          'm',
        ),
      )
    const token = await sign('ada')
    expect((await push(token)).status).toBe(503)
    expect(logged('a security event could not be put into effect')).toMatchObject([
      {
        event: 'other',
        reason: expect.stringMatching(
          /^the keys of the transmitter are not available: ./,
        ) as string,
      },
    ])
    transmitter.overrides.set(METADATA, (_, response) => {
      sendJson(response, { issuer: transmitter.url, jwks_uri: `${transmitter.url}/keys` })
    })
    await expect.poll(async () => (await push(token)).status, SOON).toBe(202)
    expect(await ask('ada')).toBe(401)
  })

  test('whose metadata names another one is not trusted', async () => {
    transmitter.overrides.set(METADATA, (_, response) => {
      sendJson(response, { issuer: 'https://evil.example', jwks_uri: `${transmitter.url}/keys` })
    })
    await start(PUSH)
    await expect.poll(readyz, SOON).toContain('names another issuer: "https://evil.example"')
    expect((await push(await sign('ada'))).status).toBe(503)
  })

  test('has another header after a reload, and another key file', async () => {
    await start({
      ...{ push: { authorizationFile: 'authorization' }, jwksFile: 'keys.json' },
      certificateAuthorityFile: undefined,
    })
    expect(await push(await sign('ada'), 'Bearer first')).toEqual({ status: 202 })
    await replaceAndReload(gatehouse!, 'authorization', 'Bearer second\n')
    await expect
      .poll(async () => push(await sign('ada'), 'Bearer second'), SOON)
      .toEqual({ status: 202 })
    expect(await push(await sign('ada'), 'Bearer first')).toEqual({
      ...{ status: 400, err: 'authentication_failed' },
    })
    const other = await createSigningKey('t-2')
    await replaceAndReload(gatehouse!, 'keys.json', JSON.stringify({ keys: [other.publicJwk] }))
    await expect
      .poll(async () => push(await sign('ada'), 'Bearer second'), SOON)
      .toEqual({ status: 400, err: 'invalid_key' })
  })
})

describe('a transmitter that keeps its events', () => {
  interface PollRequest {
    readonly ack: readonly string[]
    readonly setErrs?: Readonly<Record<string, { readonly err: string }>>
    readonly maxEvents: number
    readonly returnImmediately: boolean
  }
  const POLL = '/poll'
  let requests: (PollRequest & { readonly authorization: string | undefined })[]
  /** What has not been acknowledged. */
  let pending: Map<string, string>
  /** In place of the response. */
  let respond: ((response: ServerResponse) => void) | undefined

  beforeEach(() => {
    requests = []
    pending = new Map()
    respond = undefined
    transmitter.overrides.set(POLL, (request, response) => void serve(request, response))
  })

  /** Responds at once, as RFC 8936 allows. */
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = JSON.parse(await text(request)) as PollRequest
    requests.push({ ...body, authorization: request.headers.authorization })
    if (respond !== undefined) {
      respond(response)
      return
    }
    for (const id of [...body.ack, ...Object.keys(body.setErrs ?? {})]) pending.delete(id)
    sendJson(response, { sets: Object.fromEntries(pending) })
  }

  const startPolling = (): Promise<TestGatehouse> =>
    start({ poll: { url: `${transmitter.url}${POLL}`, authorizationFile: 'authorization' } })

  const errors = () => Object.assign({}, ...requests.map(({ setErrs }) => setErrs)) as object

  test('is asked for them, and told which are in effect', async () => {
    await startPolling()
    const watch = text(await openWatch({ gatehouse: gatehouse!, api, claims: { sub: 'eve' } }))
    const token = await sign('eve', { claims: { jti: 'e-1', iat: seconds() + 1 } })
    pending.set('e-1', token)
    expect(JSON.parse(await watch)).toMatchObject({ object: { code: 401 } })
    expect(await ask('eve')).toBe(401)
    await expect.poll(() => pending.size, SOON).toBe(0)
    expect(requests[0]).toEqual({
      ...{ maxEvents: 20, returnImmediately: false, ack: [], authorization: 'Bearer first' },
    })
    const [event] = await gatehouse!.eventsWhere(({ requestURI }) => requestURI === PATH)
    expect(event).toMatchObject({
      ...{ verb: 'post', user: { username: transmitter.url }, responseStatus: { code: 202 } },
      annotations: {
        'gatehouse/revocation': expect.stringContaining('session-revoked "e-1": ended:') as string,
      },
    })
    expect(await scrape(gatehouse!, 'gatehouse_security_events_total')).toContain(
      'gatehouse_security_events_total{event="session-revoked",result="applied"} 1',
    )
    expect(await push(token)).toEqual({ status: 400, err: 'access_denied' })
  })

  test('is told which are refused, and no session ends', async () => {
    await startPolling()
    const foreign = await createSigningKey('t-1')
    const subject = { format: 'iss_sub', iss: gatehouse!.issuer.url, sub: 'ada' }
    pending.set(
      'forged',
      await signEvent(transmitter.url, foreign, { subject, claims: { jti: 'forged' } }),
    )
    pending.set('other', await sign('ada', { claims: { jti: 'own' } }))
    pending.set('old', await sign('ada', { claims: { jti: 'old', iat: seconds() - 90_000 } }))
    pending.set('garbage', 'garbage')
    await expect.poll(errors, SOON).toEqual({
      forged: { err: 'invalid_key', description: 'the signature is invalid' },
      other: { err: 'invalid_request', description: expect.stringContaining('jti') as string },
      old: { err: 'invalid_request', description: 'the token is too old (iat)' },
      garbage: { err: 'invalid_request', description: expect.any(String) as string },
    })
    expect(await ask('ada')).toBe(200)
    const refused = await gatehouse!.eventsWhere(({ requestURI }) => requestURI === PATH, 4)
    expect(refused.map(({ responseStatus }) => responseStatus?.code)).toEqual([400, 400, 400, 400])
    const lines = logged('a security event was refused')
    expect(lines.map(({ code }) => code).sort()).toEqual([
      ...['invalid_key', 'invalid_request', 'invalid_request', 'invalid_request'],
    ])
    expect(lines).toContainEqual(
      expect.objectContaining({
        transmitter: transmitter.url,
        reason: 'the token is too old (iat)',
      }),
    )
  })

  test('is asked for them again while its keys cannot be fetched, and the audit event says why', async () => {
    transmitter.overrides.set(METADATA, (_, response) => void response.writeHead(500).end())
    await startPolling()
    pending.set('e-1', await sign('ada', { claims: { jti: 'e-1' } }))
    const [event] = await gatehouse!.eventsWhere(({ requestURI }) => requestURI === PATH)
    expect(event).toMatchObject({
      responseStatus: { code: 503, message: 'the keys of the transmitter are not available' },
      annotations: { 'gatehouse/cause': expect.stringMatching(/./) as string },
    })
    expect(pending.has('e-1')).toBe(true)
  })

  test('keeps an event that it repeats without an end from being applied twice', async () => {
    await startPolling()
    const token = await sign('ada', { claims: { jti: 'again' } })
    respond = (response) => sendJson(response, { sets: { again: token }, moreAvailable: true })
    await expect
      .poll(() => requests.filter(({ ack }) => ack.includes('again')).length, SOON)
      .toBeGreaterThan(2)
    expect(await scrape(gatehouse!, 'gatehouse_security_events_total')).toContain(
      'gatehouse_security_events_total{event="session-revoked",result="applied"} 1',
    )
  })

  test.for<[string, (response: ServerResponse) => void]>([
    ['an error', (response) => void response.writeHead(401).end('{}')],
    ['no JSON', (response) => void response.writeHead(200).end('<html>')],
    ['JSON without events', (response) => sendJson(response, { sets: ['x'] })],
    ['more than is read', (response) => void response.writeHead(200).end('x'.repeat(2_000_000))],
  ])('is asked again after %s, and what is in effect is still acknowledged', async ([, broken]) => {
    await startPolling()
    pending.set('e-1', await sign('ada', { claims: { jti: 'e-1' } }))
    await expect.poll(() => ask('ada'), SOON).toBe(401)
    respond = broken
    await expect
      .poll(readyz, SOON)
      .toMatch(new RegExp(`^\\[\\+\\]security-events poll ${transmitter.url} ok .`, 'm'))
    pending.set('e-2', await sign('eve', { claims: { jti: 'e-2' } }))
    respond = undefined
    await expect.poll(() => ask('eve'), SOON).toBe(401)
    await expect.poll(() => pending.size, SOON).toBe(0)
  })

  test('locks an account', async () => {
    await startPolling()
    pending.set(
      'd-1',
      await sign('mallory', { event: EVENTS.accountDisabled, claims: { jti: 'd-1' } }),
    )
    await expect.poll(() => ask('mallory'), SOON).toBe(401)
    const [event] = await gatehouse!.eventsWhere(({ requestURI }) => requestURI === PATH)
    expect(event?.annotations['gatehouse/lock']).toBe(
      `set: account "mallory" at "${gatehouse!.issuer.url}"`,
    )
  })
})
