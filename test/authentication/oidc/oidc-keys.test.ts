/** Keys over real connections: rotation, and issuers that hang, flood, redirect or talk nonsense. */
import type { ServerResponse } from 'node:http'

import type { JWK } from 'jose'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { createAuthority } from '../../../certs-dev/pki.ts'
import type { Issuer } from '../../../src/authentication/oidc/authentication-config.ts'
import type { Timing } from '../../../src/authentication/oidc/jwks.ts'
import { startOidc, type TestOidc } from './oidc-sign-in.ts'
import { createLog } from '../../../src/log.ts'
import {
  configuration,
  createSigningKey,
  DISCOVERY_PATH,
  issuerConfiguration,
  KEYS_PATH,
  refusalOf,
  sendJson,
  signToken,
  SOON,
  startIssuer,
  type Handler,
  type SigningKey,
  type TestIssuer,
} from './issuer.ts'

const log = createLog({ level: 'silent' })
let oldKey: SigningKey
let newKey: SigningKey
let issuer: TestIssuer
let opened: { close(): unknown }[]

beforeAll(async () => {
  oldKey = await createSigningKey('old')
  newKey = await createSigningKey('new')
})
beforeEach(async () => {
  issuer = await startIssuer([oldKey.publicJwk])
  opened = [issuer]
})
afterEach(async () => {
  for (const one of opened.toReversed()) await one.close()
})

let now = 0

/** An authenticator whose clock is `now` and whose timers never go off. */
function start(overrides: Partial<Issuer> = {}, timing: Partial<Timing> = {}): TestOidc {
  now = Date.now()
  const oidc = startOidc(configuration(issuerConfiguration(issuer, overrides)), {
    log,
    timing: { clock: () => now, schedule: () => () => undefined, ...timing },
  })
  opened.push(oidc)
  return oidc
}

async function ready(oidc: TestOidc): Promise<TestOidc> {
  await expect.poll(() => oidc.readiness()[0]?.problem, SOON).toBeUndefined()
  return oidc
}

const answer = async (oidc: TestOidc, key: SigningKey, claims = {}) =>
  refusalOf(async () => oidc.authenticate(await signToken(issuer, key, { claims, now })))

describe('a rotated key', () => {
  test('is fetched once, when the first token signed with it comes', async () => {
    const oidc = await ready(start())
    issuer.keys = [oldKey.publicJwk, newKey.publicJwk]
    expect(issuer.keySetFetches).toBe(1)
    expect(await answer(oidc, newKey)).toBe('not refused')
    expect(await answer(oidc, newKey, { sub: 'grace' })).toBe('not refused')
    expect(await answer(oidc, oldKey, { sub: 'grace' })).toBe('not refused')
    expect(issuer.keySetFetches).toBe(2)
  })

  test('without key ids is found in the same way', async () => {
    issuer.keys = [{ ...oldKey.publicJwk, kid: undefined as never }]
    const oidc = await ready(start())
    issuer.keys = [{ ...newKey.publicJwk, kid: undefined as never }]
    const token = await signToken(issuer, newKey, { header: { kid: undefined } })
    expect(await refusalOf(() => oidc.authenticate(token))).toBe('not refused')
    expect(issuer.keySetFetches).toBe(2)
  })

  test('ends what the old key vouched for, even what is in the cache', async () => {
    const oidc = await ready(start())
    const token = await signToken(issuer, oldKey, { now })
    await oidc.authenticate(token)
    expect(oidc.authenticate(token)).not.toBeInstanceOf(Promise)
    issuer.keys = [newKey.publicJwk]
    expect(await answer(oidc, newKey)).toBe('not refused')
    expect(await refusalOf(() => oidc.authenticate(token))).toMatch(/no key for/)
  })
})

describe('bad tokens cost the issuer little', () => {
  test('ever new key ids: one fetch in ten seconds, and known keys go on', async () => {
    const oidc = await ready(start())
    const flood = async (count: number) =>
      Promise.all(
        Array.from({ length: count }, async (_, index) =>
          answer(oidc, { ...newKey, kid: `kid-${now}-${index}` }),
        ),
      )
    const refusals = await flood(200)
    expect(new Set(refusals)).toEqual(
      new Set(['the issuer has no key for the key id and algorithm of the token']),
    )
    await flood(200)
    expect(issuer.keySetFetches).toBe(2)
    expect(await answer(oidc, oldKey)).toBe('not refused')
    now += 10_000
    await flood(200)
    expect(issuer.keySetFetches).toBe(3)
  })

  test('a wrong signature under a known key id: no fetch', async () => {
    const oidc = await ready(start())
    expect(await answer(oidc, { ...newKey, kid: 'old' })).toBe('the signature is wrong')
    expect(issuer.keySetFetches).toBe(1)
  })

  test('tokens of issuers that are not configured: no fetch', async () => {
    const oidc = await ready(start())
    const other = await startIssuer([newKey.publicJwk])
    opened.push(other)
    const token = await signToken(other, newKey)
    expect(await refusalOf(() => oidc.authenticate(token))).toMatch(/none of those configured/)
    expect(other.requests.size).toBe(0)
  })
})

describe('an issuer that is away', () => {
  test('from the start is asked again until it answers, and by the first token', async () => {
    issuer.overrides.set(DISCOVERY_PATH, (_, response) => response.writeHead(503).end())
    const retries: (() => void)[] = []
    const oidc = start({}, { schedule: (retry) => (retries.push(retry), () => undefined) })
    await expect.poll(() => oidc.readiness()[0]?.problem, SOON).toMatch(/answers with HTTP 503/)
    expect(await answer(oidc, oldKey)).toMatch(/no keys of the issuer could be loaded yet/)
    issuer.overrides.clear()
    retries.at(-1)!()
    await ready(oidc)
    expect(await answer(oidc, oldKey)).toBe('not refused')
  })

  test('later leaves it ready, and its known keys good', async () => {
    const oidc = await ready(start())
    await issuer.close()
    opened.shift()
    expect(await answer(oidc, oldKey)).toBe('not refused')
    expect(await answer(oidc, newKey)).toMatch(/no key for/)
    expect(oidc.readiness()[0]?.problem).toBeUndefined()
    expect(await answer(oidc, oldKey, { sub: 'grace' })).toBe('not refused')
  })
})

describe('among many keys', () => {
  const others = async (count: number, kid?: string) =>
    Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const { publicJwk } = await createSigningKey(kid ?? `other-${i}`)
        return publicJwk
      }),
    )
  const nameless = (jwk: JWK): JWK =>
    Object.fromEntries(Object.entries(jwk).filter(([name]) => name !== 'kid'))

  test('a token that names none is tried with eight, and with no more', async () => {
    issuer.keys = [...(await others(7)), oldKey.publicJwk]
    const eighth = await ready(start())
    const token = await signToken(issuer, oldKey, { header: { kid: undefined }, now })
    expect(await refusalOf(() => eighth.authenticate(token))).toBe('not refused')
    issuer.keys = [...(await others(8)), oldKey.publicJwk]
    const ninth = await ready(start())
    expect(await refusalOf(() => ninth.authenticate(token))).toMatch(/none of the first 8 keys/)
    expect(await answer(ninth, oldKey)).toBe('not refused')
  })

  test('a token finds its own among several of the same name', async () => {
    issuer.keys = [...(await others(3, 'old')), oldKey.publicJwk]
    const oidc = await ready(start())
    expect(await answer(oidc, oldKey)).toBe('not refused')
    expect(await answer(oidc, { ...newKey, kid: 'old' })).toBe('the signature is wrong')
  })

  test('a token that names one is not tried with those that have no name', async () => {
    issuer.keys = [nameless(oldKey.publicJwk)]
    const oidc = await ready(start())
    expect(await answer(oidc, oldKey)).toMatch(/no key for/)
    const token = await signToken(issuer, oldKey, { header: { kid: undefined }, now })
    expect(await refusalOf(() => oidc.authenticate(token))).toBe('not refused')
  })
})

const hang: Handler = () => undefined
const trickle: Handler = (_, response) => {
  response.writeHead(200)
  const timer = setInterval(() => response.write(' '), 20)
  response.on('close', () => {
    clearInterval(timer)
  })
}
/** Spaces without end, as fast as they are read; `sent` counts them. */
const endless = (sent: { bytes: number }): Handler => {
  const chunk = ' '.repeat(65_536)
  return (_, response) => {
    const write = (): void => {
      while (!response.destroyed) {
        sent.bytes += chunk.length
        if (!response.write(chunk)) break
      }
    }
    response.on('drain', write).writeHead(200)
    write()
  }
}
const redirect =
  (location: string): Handler =>
  (_, response: ServerResponse) =>
    response.writeHead(302, { location }).end()
const text =
  (body: string | Buffer, headers = {}): Handler =>
  (_, response) =>
    response.writeHead(200, headers).end(body)

describe.for([
  ['discovery document', DISCOVERY_PATH],
  ['key set', KEYS_PATH],
] as const)('a %s that', ([, path]) => {
  const cases: [string, Handler, RegExp][] = [
    ['never comes', hang, /no answer within 0.3 s/],
    ['trickles in', trickle, /no answer within 0.3 s/],
    ['never ends', endless({ bytes: 0 }), /too large|exceed/i],
    ['is longer than a megabyte', text(`{"x":"${'x'.repeat(1_048_576)}"}`), /exceed/i],
    ['is elsewhere', redirect(`${DISCOVERY_PATH}2`), /answers with a redirect \(302\)/],
    ['is at a plain http address', redirect('http://127.0.0.1:1/'), /redirect/],
    ['is not there', (_, response) => response.writeHead(404).end('{}'), /HTTP 404/],
    ['is 204', (_, response) => response.writeHead(204).end(), /HTTP 204/],
    ['is no JSON', text('<html>'), /does not answer with JSON/],
    ['is empty', text(''), /does not answer with JSON/],
    ['is no UTF-8', text(Buffer.from([0x22, 0xff, 0x22])), /does not answer with JSON/],
    ['is compressed', text('{}', { 'content-encoding': 'gzip' }), /answers compressed/],
    ['is JSON of something else', text('{"hello":1}'), /no discovery document|not a JWK Set/],
    ['is null', text('null'), /no discovery document|not a JWK Set/],
    ['breaks off', (_, response) => response.destroy(), /closed|reset|hang up/i],
  ]

  test.for(cases)('%s is a problem at the start', async ([, handler, problem]) => {
    issuer.overrides.set(path, handler)
    const oidc = start({}, { fetchTimeout: problem.source.includes('0.3 s') ? 300 : 10_000 })
    await expect.poll(() => oidc.readiness()[0]?.problem, SOON).toMatch(problem)
    expect(await answer(oidc, oldKey)).toMatch(/no keys of the issuer could be loaded yet/)
  })

  test.for(cases)('%s leaves known keys good', async ([, handler]) => {
    const oidc = await ready(start())
    issuer.overrides.set(path, handler)
    const waiting = answer(oidc, newKey)
    await expect.poll(() => issuer.requests.get(path), SOON).toBe(2)
    expect(await answer(oidc, oldKey)).toBe('not refused')
    oidc.close()
    expect(await waiting).toMatch(/no key for/)
    expect(oidc.readiness()[0]?.problem).toBeUndefined()
  })
})

test('an answer without end is read no further than its bound', async () => {
  const sent = { bytes: 0 }
  issuer.overrides.set(KEYS_PATH, endless(sent))
  const oidc = start()
  await expect.poll(() => oidc.readiness()[0]?.problem, SOON).toMatch(/exceed/i)
  // What was under way in the sockets' buffers comes on top of the megabyte.
  expect(sent.bytes).toBeLessThan(16 * 1_048_576)
})

describe('a discovery document is refused that', () => {
  test.for<[string, (url: string) => Record<string, unknown>, RegExp]>([
    ['names another issuer', () => ({ issuer: 'https://evil.example' }), /names another issuer/],
    ['adds a slash to the issuer', (url) => ({ issuer: `${url}/` }), /names another issuer/],
    ['names no issuer', () => ({ issuer: undefined }), /no discovery document/],
    ['names no keys', () => ({ jwks_uri: undefined }), /no discovery document/],
    ['has its keys at http', () => ({ jwks_uri: 'http://127.0.0.1/keys' }), /no plain https URL/],
    ['has its keys in a file', () => ({ jwks_uri: 'file:///etc/passwd' }), /no plain https URL/],
    ['has its keys at no URL', () => ({ jwks_uri: '/keys' }), /no plain https URL/],
    [
      'sends a password along',
      () => ({ jwks_uri: 'https://user:password@127.0.0.1/keys' }),
      /no plain https URL/,
    ],
  ])('%s', async ([, discovery, problem]) => {
    issuer.discovery = discovery(issuer.url)
    const oidc = start()
    await expect.poll(() => oidc.readiness()[0]?.problem, SOON).toMatch(problem)
    expect(issuer.keySetFetches).toBe(0)
  })
})

describe('the issuer’s certificate', () => {
  test('must be of the authority that is configured', async () => {
    const other = await createAuthority({ commonName: 'others' })
    const oidc = start({ certificateAuthority: other.certificatePem })
    await expect.poll(() => oidc.readiness()[0]?.problem, SOON).toMatch(/certificate/)
    expect(issuer.requests.size).toBe(0)
  })

  test('must be publicly trusted where none is configured', async () => {
    const oidc = start({ certificateAuthority: undefined })
    await expect.poll(() => oidc.readiness()[0]?.problem, SOON).toMatch(/certificate/)
    expect(issuer.requests.size).toBe(0)
  })

  test('must be for the host that is asked', async () => {
    const url = issuer.url.replace('127.0.0.1', 'localhost')
    const oidc = start({ url })
    await expect.poll(() => oidc.readiness()[0]?.problem, SOON).toMatch(/altnames|localhost/)
    expect(issuer.requests.size).toBe(0)
  })
})

test('a discovery URL of its own is asked, to the letter', async () => {
  issuer.overrides.set(DISCOVERY_PATH, hang)
  issuer.overrides.set('/internal/discovery', (_, response) => {
    sendJson(response, { issuer: issuer.url, jwks_uri: `${issuer.url}${KEYS_PATH}` })
  })
  const oidc = await ready(start({ discoveryUrl: `${issuer.url}/internal/discovery` }))
  expect(await answer(oidc, oldKey)).toBe('not refused')
  expect(issuer.requests.get(DISCOVERY_PATH)).toBeUndefined()
})

test('an issuer with a path has its document below it', async () => {
  const url = `${issuer.url}/realms/a/`
  issuer.overrides.set('/realms/a/.well-known/openid-configuration', (_, response) => {
    sendJson(response, { issuer: url, jwks_uri: `${issuer.url}${KEYS_PATH}` })
  })
  const oidc = await ready(start({ url }))
  const token = await signToken({ url }, oldKey)
  expect(await refusalOf(() => oidc.authenticate(token))).toBe('not refused')
})
