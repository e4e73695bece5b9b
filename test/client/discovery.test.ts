/** Whatever a server sends in place of a discovery document is one line for the user. */
import { expect, test } from 'vitest'

import { fetchDiscovery } from '../../src/client/discovery.ts'
import type { HttpClient } from '../../src/client/net/http-client.ts'
import { chooseMethod } from '../../src/client/method.ts'
import { signIn } from '../../src/config/schema/sign-in.ts'
import { discoveryDocument } from '../../src/sign-in/discovery-document.ts'

const ORIGIN = 'https://gatehouse.example'

function serving(body: string, status = 200): HttpClient {
  return { send: async () => ({ status, headers: {}, body }), close: async () => undefined }
}

const method = {
  name: 'sso',
  type: 'oidc',
  issuer: 'https://login.example',
  clientID: 'kubernetes',
  scopes: ['openid'],
  redirectURIs: ['http://localhost:8000'],
}
const document = {
  apiVersion: 'gatehouse/v1',
  kind: 'SignInDiscovery',
  displayName: 'Lab',
  clusters: [{ name: 'lab' }],
  methods: [method],
}

test('what Gatehouse serves is what the client reads', async () => {
  const options = signIn.parse({
    displayName: 'Lab',
    clusterName: 'lab',
    methods: [
      {
        name: 'sso',
        issuer: 'https://login.example',
        clientID: 'kubernetes',
        publishedClientSecret: 'GOCSPX-x',
        scopes: ['email'],
        extraParameters: [{ name: 'access_type', value: 'offline' }],
        deviceAuthorization: true,
      },
    ],
  })
  const issuer = {
    ...{ url: 'https://login.example', discoveryUrl: undefined, certificateAuthority: undefined },
    ...{ audiences: ['kubernetes', 'other'], sharesNames: false },
    rules: { requiredClaims: [], claimRules: [], userRules: [] },
    claimMappings: {
      username: { claim: 'sub', prefix: '' },
      groups: undefined,
      uid: undefined,
      extra: [],
    },
  }
  const made = discoveryDocument({
    options,
    authentication: { issuers: [issuer] },
    issuedCertificates: undefined,
    servingCA: undefined,
  })
  expect(await fetchDiscovery(ORIGIN, serving(JSON.stringify(made)))).toEqual({
    displayName: 'Lab',
    clusterName: 'lab',
    certificateAuthority: '',
    methods: [
      {
        type: 'oidc',
        name: 'sso',
        issuer: 'https://login.example',
        discoveryURL: '',
        certificateAuthority: '',
        clientID: 'kubernetes',
        clientSecret: 'GOCSPX-x',
        scopes: ['openid', 'email'],
        optionalScopes: [],
        extraParameters: { access_type: 'offline' },
        redirectURIs: ['http://localhost:8000', 'http://localhost:18000'],
        deviceAuthorization: true,
      },
    ],
  })
})

test.for([
  ['HTML', '<!doctype html>', /is not a Gatehouse: check the URL/],
  ['nothing', '', /is not a Gatehouse/],
  ['a list', '[]', /is not a Gatehouse/],
  ['another API', JSON.stringify({ apiVersion: 'v1', kind: 'Status' }), /is not a Gatehouse/],
  [
    'a newer version',
    JSON.stringify({ ...document, apiVersion: 'gatehouse/v2' }),
    /needs a newer version of this program \(gatehouse\/v2\): update gatehouse/,
  ],
  ['a CA that is none', JSON.stringify({ ...document, certificateAuthority: 'x' }), /its CA/],
] as const)('a server that sends %s', async ([, body, message]) => {
  await expect(fetchDiscovery(ORIGIN, serving(body))).rejects.toThrow(message)
  await expect(fetchDiscovery(ORIGIN, serving(body))).rejects.toMatchObject({ exitCode: 5 })
})

test.for([
  [{ issuer: 'http://login.example' }, /issuer is not an https URL/],
  [{ issuer: 'file:///etc/passwd' }, /issuer is not an https URL/],
  [{ issuer: 'https://user:pw@login.example' }, /issuer is not an https URL/],
  [{ discoveryURL: 'http://x' }, /discovery URL is not an https URL/],
  [{ clientSecret: 'a\u001b[2J' }, /client secret of the method sso has characters/],
  [{ issuer: 'https://login.example/\u001b]0;x\u0007' }, /issuer is not an https URL/],
  [{ discoveryURL: 'https://login.example/\u009b2J' }, /discovery URL is not an https URL/],
  [{ redirectURIs: ['https://evil.example'] }, /redirect URI is not on loopback/],
  [{ redirectURIs: ['http://localhost.evil.example'] }, /redirect URI is not on loopback/],
  [{ redirectURIs: [] }, /redirect URI is not on loopback/],
  [{ redirectURIs: ['http://localhost:8000/\u001b]0;x\u0007'] }, /redirect URI is not on loopback/],
  [{ redirectURIs: ['http://localhost/\u009b2J'] }, /redirect URI is not on loopback/],
  [{ redirectURIs: ['http://u:p@localhost:8000'] }, /redirect URI is not on loopback/],
  [{ clientID: 7 }, /has no client ID/],
  [{ clientID: 'a\u009b2J' }, /the client ID of the method .* has characters/],
  [{ clientID: 'a\u001b[2J' }, /the client ID of the method .* has characters/],
  [{ clientID: 'a\u202e' }, /the client ID of the method .* has characters/],
  [{ clientID: 'a'.repeat(257) }, /the client ID of the method .* has characters/],
  [{ name: '--device' + '\u001b[2J' }, /no valid name/],
  [{ certificateAuthority: 'x' }, /CA of the method/],
] as const)('a method that would harm the user is refused: %j', async ([change, message]) => {
  const body = JSON.stringify({ ...document, methods: [{ ...method, ...change }] })
  await expect(fetchDiscovery(ORIGIN, serving(body))).rejects.toThrow(message)
})

test('a server cannot set what protects the sign-in', async () => {
  const extraParameters = { state: 'x', nonce: 'x', code_challenge: 'x', prompt: 'login', n: 1 }
  const body = JSON.stringify({ ...document, methods: [{ ...method, extraParameters }] })
  const [read] = (await fetchDiscovery(ORIGIN, serving(body))).methods
  expect(read).toMatchObject({ extraParameters: { prompt: 'login' } })
})

test('names from a server are printed without control characters', async () => {
  const body = JSON.stringify({
    ...document,
    displayName: 'a\u001b[2J\nb\u202e',
    clusters: [{ name: '../x' }],
  })
  const read = await fetchDiscovery(ORIGIN, serving(body))
  expect(read.displayName).toBe('a [2J b')
  expect(read.clusterName).toBeUndefined()
})

test.each([401, 403])('an API server that refuses with %i is not a Gatehouse', async (status) => {
  const body = JSON.stringify({ kind: 'Status', message: 'Unauthorized' })
  await expect(fetchDiscovery(ORIGIN, serving(body, status))).rejects.toThrow(
    `${ORIGIN} is not a Gatehouse, or cannot be reached (HTTP ${status}): check the URL`,
  )
})

test('a refusal of the server is shown', async () => {
  const body = JSON.stringify({ kind: 'Status', message: 'ask your administrator' })
  await expect(fetchDiscovery(ORIGIN, serving(body, 404))).rejects.toThrow('ask your administrator')
  await expect(fetchDiscovery(ORIGIN, serving('x', 502))).rejects.toThrow('HTTP 502')
})

test('the first method that is known is used, and others by name', async () => {
  const methods = [{ name: 'new', type: 'passkey' }, method, { ...method, name: 'second' }]
  const read = await fetchDiscovery(ORIGIN, serving(JSON.stringify({ ...document, methods })))
  const server = { origin: ORIGIN, certificateAuthority: '' }
  expect(chooseMethod(server, read, '').name).toBe('sso')
  expect(chooseMethod(server, read, 'second').name).toBe('second')
  expect(() => chooseMethod(server, read, 'new')).toThrow(/does not know \(new\): update gatehouse/)
  expect(() => chooseMethod(server, read, 'x')).toThrow('use one of: sso, second')
  expect(() => chooseMethod(server, { ...read, methods: [] }, '')).toThrow('no way to sign in')
})
