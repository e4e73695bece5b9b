/**
 * Tests over real connections: key rotation, and issuers that hang, flood, redirect or respond with
 * garbage.
 */
import type { ServerResponse } from 'node:http'

import type { JWK } from 'jose'
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'

import { createAuthority } from '../../../certs-dev/pki.ts'
import type { Issuer } from '../../../src/authentication/oidc/authentication-config.ts'
import type { Timing } from '../../../src/authentication/oidc/jwks.ts'
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
  startIssuer,
  type Handler,
  type SigningKey,
  type TestIssuer,
} from './issuer.ts'
import { startOidc, type TestOidc } from './oidc-sign-in.ts'

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

/** Starts an authenticator whose clock is `now` and whose timers never fire. */
function start(
  overrides: Partial<Issuer> = {},
  timing: Partial<Timing> = {},
  onRevoked = (): void => undefined,
): TestOidc {
  now = Date.now()
  const oidc = startOidc(configuration(issuerConfiguration(issuer, overrides)), {
    log,
    onRevoked,
    timing: { clock: () => now, schedule: () => () => undefined, ...timing },
  })
  opened.push(oidc)
  return oidc
}

async function ready(oidc: TestOidc): Promise<TestOidc> {
  await expect.poll(() => oidc.readiness()[0]?.problem).toBeUndefined()
  return oidc
}

const outcome = async (oidc: TestOidc, key: SigningKey, claims = {}) =>
  refusalOf(async () => oidc.authenticate(await signToken(issuer, key, { claims, now })))

describe('a rotated key', () => {
  test('is fetched once, with the first token that it signed', async () => {
    const oidc = await ready(start())
    issuer.keys = [oldKey.publicJwk, newKey.publicJwk]
    expect(issuer.keySetFetches).toBe(1)
    expect(await outcome(oidc, newKey)).toBe('not refused')
    expect(await outcome(oidc, newKey, { sub: 'grace' })).toBe('not refused')
    expect(await outcome(oidc, oldKey, { sub: 'grace' })).toBe('not refused')
    expect(issuer.keySetFetches).toBe(2)
  })

  test('without a kid is found in the same way', async () => {
    issuer.keys = [{ ...oldKey.publicJwk, kid: undefined as never }]
    const oidc = await ready(start())
    issuer.keys = [{ ...newKey.publicJwk, kid: undefined as never }]
    const token = await signToken(issuer, newKey, { header: { kid: undefined } })
    expect(await refusalOf(() => oidc.authenticate(token))).toBe('not refused')
    expect(issuer.keySetFetches).toBe(2)
  })

  test.for(['old', undefined])(
    'under the old kid (%s) is found with the first token that it signed, and the old key is no longer trusted',
    async (kid) => {
      const rotated = { ...newKey, kid: kid! }
      issuer.keys = [{ ...oldKey.publicJwk, kid: kid! }]
      const revoked = vi.fn()
      const oidc = await ready(start({}, {}, revoked))
      const token = await signToken(issuer, oldKey, { header: { kid }, now })
      expect(await refusalOf(() => oidc.authenticate(token))).toBe('not refused')
      issuer.keys = [{ ...newKey.publicJwk, kid: kid! }]
      const newToken = await signToken(issuer, rotated, { header: { kid }, now })
      expect(await refusalOf(() => oidc.authenticate(newToken))).toBe('not refused')
      expect(issuer.keySetFetches).toBe(2)
      expect(revoked).toHaveBeenCalledOnce()
      expect(await refusalOf(() => oidc.authenticate(token))).toBe('the signature is invalid')
    },
  )

  test('invalidates tokens that the old key signed, even cached ones', async () => {
    const oidc = await ready(start())
    const token = await signToken(issuer, oldKey, { now })
    await oidc.authenticate(token)
    expect(oidc.authenticate(token)).not.toBeInstanceOf(Promise)
    issuer.keys = [newKey.publicJwk]
    expect(await outcome(oidc, newKey)).toBe('not refused')
    expect(await refusalOf(() => oidc.authenticate(token))).toMatch(/no key for/)
  })
})

describe('invalid tokens', () => {
  test('with random key IDs cause one fetch in ten seconds, and known keys stay in use', async () => {
    const oidc = await ready(start())
    const flood = async (count: number) =>
      Promise.all(
        Array.from({ length: count }, async (_, index) =>
          outcome(oidc, { ...newKey, kid: `kid-${now}-${index}` }),
        ),
      )
    const refusals = await flood(200)
    expect(new Set(refusals)).toEqual(
      new Set(['the issuer has no key for the key ID and algorithm of the token']),
    )
    await flood(200)
    expect(issuer.keySetFetches).toBe(2)
    expect(await outcome(oidc, oldKey)).toBe('not refused')
    now += 10_000
    await flood(200)
    expect(issuer.keySetFetches).toBe(3)
  })

  test('with an invalid signature and a known key ID cause one fetch in ten seconds', async () => {
    const oidc = await ready(start())
    const flood = () =>
      Promise.all(
        Array.from({ length: 200 }, (_, i) =>
          outcome(oidc, { ...newKey, kid: 'old' }, { sub: `user-${i}` }),
        ),
      )
    expect(new Set(await flood())).toEqual(new Set(['the signature is invalid']))
    await flood()
    expect(issuer.keySetFetches).toBe(2)
    expect(await outcome(oidc, oldKey)).toBe('not refused')
    now += 10_000
    await flood()
    expect(issuer.keySetFetches).toBe(3)
  })

  test('of issuers that are not configured do not cause a fetch', async () => {
    const oidc = await ready(start())
    const other = await startIssuer([newKey.publicJwk])
    opened.push(other)
    const token = await signToken(other, newKey)
    expect(await refusalOf(() => oidc.authenticate(token))).toMatch(
      /not one of the configured issuers/,
    )
    expect(other.requests.size).toBe(0)
  })
})

describe('an unreachable issuer', () => {
  test('is asked again until it responds, if it is unreachable from the start', async () => {
    issuer.overrides.set(DISCOVERY_PATH, (_, response) => response.writeHead(503).end())
    const retries: (() => void)[] = []
    const oidc = start({}, { schedule: (retry) => (retries.push(retry), () => undefined) })
    await expect.poll(() => oidc.readiness()[0]?.problem).toMatch(/responded with HTTP 503/)
    expect(await outcome(oidc, oldKey)).toMatch(/the issuer's keys have not been loaded yet/)
    issuer.overrides.clear()
    retries.at(-1)!()
    await ready(oidc)
    expect(await outcome(oidc, oldKey)).toBe('not refused')
  })

  test('stays ready, with its known keys, if it becomes unreachable later', async () => {
    const oidc = await ready(start())
    await issuer.close()
    opened.shift()
    expect(await outcome(oidc, oldKey)).toBe('not refused')
    expect(await outcome(oidc, newKey)).toMatch(/no key for/)
    expect(oidc.readiness()[0]?.problem).toBeUndefined()
    expect(await outcome(oidc, oldKey, { sub: 'grace' })).toBe('not refused')
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

  test('a token without a kid is tried with eight keys at most', async () => {
    issuer.keys = [...(await others(7)), oldKey.publicJwk]
    const eighth = await ready(start())
    const token = await signToken(issuer, oldKey, { header: { kid: undefined }, now })
    expect(await refusalOf(() => eighth.authenticate(token))).toBe('not refused')
    issuer.keys = [...(await others(8)), oldKey.publicJwk]
    const ninth = await ready(start())
    expect(await refusalOf(() => ninth.authenticate(token))).toMatch(
      /none of the first 8 candidate keys verified the signature/,
    )
    expect(await outcome(ninth, oldKey)).toBe('not refused')
  })

  test('a token is verified by its key among several with the same kid', async () => {
    issuer.keys = [...(await others(3, 'old')), oldKey.publicJwk]
    const oidc = await ready(start())
    expect(await outcome(oidc, oldKey)).toBe('not refused')
    expect(await outcome(oidc, { ...newKey, kid: 'old' })).toBe('the signature is invalid')
  })

  test('a token with a kid is not tried with keys without a kid', async () => {
    issuer.keys = [nameless(oldKey.publicJwk)]
    const oidc = await ready(start())
    expect(await outcome(oidc, oldKey)).toMatch(/no key for/)
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
/** Sends spaces endlessly, as fast as they are read; `sent` counts them. */
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
    ['is never sent', hang, /no response within 0.3 s/],
    ['trickles in', trickle, /no response within 0.3 s/],
    ['never ends', endless({ bytes: 0 }), /too large|exceed/i],
    ['is longer than a megabyte', text(`{"x":"${'x'.repeat(1_048_576)}"}`), /exceed/i],
    [
      'is redirected to another origin',
      redirect('https://127.0.0.1:1/keys'),
      /redirects to another origin, "https:\/\/127.0.0.1:1", which is not followed: configure/,
    ],
    ['is redirected to plain http', redirect('http://127.0.0.1:1/'), /to another origin, "http:/],
    ['is redirected to a script', redirect('javascript:alert(1)'), /to another origin, "null"/],
    ['is redirected nowhere', (_, response) => response.writeHead(302).end(), /valid Location/],
    ['is redirected to no URL', redirect('https://['), /valid Location/],
    ['is redirected to itself', redirect(''), /redirects more than 5 times/],
    ['is not modified', (_, response) => response.writeHead(304).end(), /HTTP 304/],
    ['does not exist', (_, response) => response.writeHead(404).end('{}'), /HTTP 404/],
    ['is a 204', (_, response) => response.writeHead(204).end(), /HTTP 204/],
    ['is not JSON', text('<html>'), /did not respond with JSON/],
    ['is empty', text(''), /did not respond with JSON/],
    ['is not UTF-8', text(Buffer.from([0x22, 0xff, 0x22])), /did not respond with JSON/],
    [
      'is compressed',
      text('{}', { 'content-encoding': 'gzip' }),
      /responded with a compressed body/,
    ],
    ['is JSON of another kind', text('{"hello":1}'), /not a discovery document|not a JWK Set/],
    ['is null', text('null'), /not a discovery document|not a JWK Set/],
    ['breaks off', (_, response) => response.destroy(), /closed|reset|hang up/i],
  ]

  test.for(cases)('%s is reported as a problem at the start', async ([, handler, problem]) => {
    issuer.overrides.set(path, handler)
    const oidc = start({}, { fetchTimeout: problem.source.includes('0.3 s') ? 300 : 10_000 })
    await expect.poll(() => oidc.readiness()[0]?.problem).toMatch(problem)
    expect(await outcome(oidc, oldKey)).toMatch(/the issuer's keys have not been loaded yet/)
  })

  test.for(cases)('%s leaves known keys in use', async ([, handler]) => {
    const oidc = await ready(start())
    issuer.overrides.set(path, handler)
    const waiting = outcome(oidc, newKey)
    await expect.poll(() => issuer.requests.get(path)).toBeGreaterThan(1)
    expect(await outcome(oidc, oldKey)).toBe('not refused')
    oidc.close()
    expect(await waiting).toMatch(/no key for/)
    expect(oidc.readiness()[0]?.problem).toBeUndefined()
  })
})

test.for([301, 302, 303, 307, 308])(
  'a %i on the origin of the issuer is followed, for both documents',
  async (status) => {
    const { host } = new URL(issuer.url)
    const hop =
      (location: string): Handler =>
      (_, response) =>
        response.writeHead(status, { location }).end('moved')
    const discovery = { issuer: issuer.url, jwks_uri: `${issuer.url}${KEYS_PATH}` }
    issuer.overrides.set(DISCOVERY_PATH, hop('/one?a=b#fragment'))
    issuer.overrides.set('/one?a=b', hop(`//user:secret@${host}/two`))
    issuer.overrides.set('/two', text(JSON.stringify(discovery)))
    // Not to be taken for the name of a host.
    issuer.overrides.set(KEYS_PATH, hop('/.//evil.example/keys'))
    issuer.overrides.set('//evil.example/keys', text(JSON.stringify({ keys: issuer.keys })))
    const oidc = await ready(start())
    expect(await outcome(oidc, oldKey)).toBe('not refused')
    expect(issuer.requests.get('/two')).toBe(1)
  },
)

test('an endless response is read up to the size limit', async () => {
  const sent = { bytes: 0 }
  issuer.overrides.set(KEYS_PATH, endless(sent))
  const oidc = start()
  await expect.poll(() => oidc.readiness()[0]?.problem).toMatch(/exceed/i)
  // The contents of the sockets' buffers come on top of the megabyte.
  expect(sent.bytes).toBeLessThan(16 * 1_048_576)
})

describe('a discovery document is refused that', () => {
  test.for<[string, (url: string) => Record<string, unknown>, RegExp]>([
    ['names another issuer', () => ({ issuer: 'https://evil.example' }), /names another issuer/],
    [
      'names another issuer in a megabyte of control characters',
      () => ({ issuer: '\u009b'.repeat(100_000) }),
      /^(?!.*\u009b).{0,100}names another issuer.{0,1300}$/,
    ],
    [
      'has a jwks_uri of a megabyte',
      () => ({ jwks_uri: `https://127.0.0.1/${'a'.repeat(500_000)}` }),
      /^.{0,1000}jwks_uri of more than 2048 characters.{0,1000}$/,
    ],
    ['adds a slash to the issuer', (url) => ({ issuer: `${url}/` }), /names another issuer/],
    ['does not name an issuer', () => ({ issuer: undefined }), /not a discovery document/],
    ['does not name a jwks_uri', () => ({ jwks_uri: undefined }), /not a discovery document/],
    [
      'has a jwks_uri with http',
      () => ({ jwks_uri: 'http://127.0.0.1/keys' }),
      /not an https URL without credentials/,
    ],
    [
      'has a jwks_uri of a file',
      () => ({ jwks_uri: 'file:///etc/passwd' }),
      /not an https URL without credentials/,
    ],
    [
      'has a jwks_uri that is not a URL',
      () => ({ jwks_uri: '/keys' }),
      /not an https URL without credentials/,
    ],
    [
      'has a jwks_uri with a password',
      () => ({ jwks_uri: 'https://user:password@127.0.0.1/keys' }),
      /not an https URL without credentials/,
    ],
  ])('%s', async ([, discovery, problem]) => {
    issuer.discovery = discovery(issuer.url)
    const oidc = start()
    await expect.poll(() => oidc.readiness()[0]?.problem).toMatch(problem)
    expect(issuer.keySetFetches).toBe(0)
  })
})

describe('the issuer’s certificate', () => {
  test('must be issued by the configured authority', async () => {
    const other = await createAuthority({ commonName: 'others' })
    const oidc = start({ certificateAuthority: other.certificatePem })
    await expect.poll(() => oidc.readiness()[0]?.problem).toMatch(/certificate/)
    expect(issuer.requests.size).toBe(0)
  })

  test('must be publicly trusted if no authority is configured', async () => {
    const oidc = start({ certificateAuthority: undefined })
    await expect.poll(() => oidc.readiness()[0]?.problem).toMatch(/certificate/)
    expect(issuer.requests.size).toBe(0)
  })

  test('must be valid for the host of the URL', async () => {
    const url = issuer.url.replace('127.0.0.1', 'localhost')
    const oidc = start({ url })
    await expect.poll(() => oidc.readiness()[0]?.problem).toMatch(/altnames|localhost/)
    expect(issuer.requests.size).toBe(0)
  })
})

test('a configured discovery URL is used exactly', async () => {
  issuer.overrides.set(DISCOVERY_PATH, hang)
  issuer.overrides.set('/internal/discovery', (_, response) => {
    sendJson(response, { issuer: issuer.url, jwks_uri: `${issuer.url}${KEYS_PATH}` })
  })
  const oidc = await ready(start({ discoveryUrl: `${issuer.url}/internal/discovery` }))
  expect(await outcome(oidc, oldKey)).toBe('not refused')
  expect(issuer.requests.get(DISCOVERY_PATH)).toBeUndefined()
})

test('the discovery document of an issuer with a path is below that path', async () => {
  const url = `${issuer.url}/realms/a/`
  issuer.overrides.set('/realms/a/.well-known/openid-configuration', (_, response) => {
    sendJson(response, { issuer: url, jwks_uri: `${issuer.url}${KEYS_PATH}` })
  })
  const oidc = await ready(start({ url }))
  const token = await signToken({ url }, oldKey)
  expect(await refusalOf(() => oidc.authenticate(token))).toBe('not refused')
})
