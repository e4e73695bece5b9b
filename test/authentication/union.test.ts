import { describe, expect, test } from 'vitest'

import type { Authentication, Credentials } from '../../src/authentication/authenticator.ts'
import { unauthorized } from '../../src/authentication/bearer.ts'
import type { Credential, SignIn } from '../../src/authentication/sign-in.ts'
import { DEFAULT_IDENTITY_LIMITS } from '../../src/authentication/identity-guard.ts'
import { createSignInUnion } from '../../src/authentication/union.ts'
import { StatusError } from '../../src/status.ts'
import type { PeerCertificate } from '../../src/http/exchange.ts'

const CERTIFICATE = { sha256: 'abcd' } as PeerCertificate

function authentication(method: string, username = 'ada'): Authentication {
  return { user: { username, uid: '', groups: [], extra: {} }, method, annotations: {} }
}

/** A method that gives every credential of its kind to `judge`. */
function signIn(
  method: string,
  kind: Credential['kind'],
  judge: () => Authentication | undefined | Promise<Authentication>,
): SignIn {
  return {
    method,
    authenticate: (credential) => (credential.kind === kind ? judge() : undefined),
    recheck: () => undefined,
    reserves: () => undefined,
    readiness: () => [],
    close: () => undefined,
  }
}

const x509 = (judge = () => authentication('x509')) => signIn('x509', 'certificate', judge)
const oidc = (
  judge: () => Authentication | Promise<Authentication> = () => authentication('oidc'),
) => signIn('oidc', 'token', judge)

function union(
  signIns: readonly SignIn[] = [x509(), oidc()],
  checkCertificate: (certificate: PeerCertificate) => void = () => undefined,
) {
  const results: string[] = []
  const authenticate = createSignInUnion(
    {
      ...DEFAULT_IDENTITY_LIMITS,
      signIns,
      systemIdentities: { users: [], groups: [] },
      unusableGroups: 'drop',
    },
    {
      onResult: (method, result) => results.push(`${method} ${result}`),
      onGroupsDropped: ({ username }, groups) =>
        results.push(`${username} ${JSON.stringify(groups)}`),
      checkCertificate,
    },
  )
  return { authenticate, results }
}

function credentials(parts: {
  certificate?: boolean
  authorization?: string
  webSocketToken?: string
}): Credentials {
  return {
    connection: {
      remoteAddress: '127.0.0.1',
      remotePort: 1,
      peerCertificate: parts.certificate === true ? CERTIFICATE : undefined,
      retire: () => undefined,
    },
    authorization: parts.authorization,
    webSocketToken: parts.webSocketToken,
    rawHeaders: [],
  }
}

test('each credential goes to its method, and the user gets system:authenticated', async () => {
  const { authenticate, results } = union()
  const certificate = await authenticate(credentials({ certificate: true }))
  expect(certificate).toMatchObject({ method: 'x509', user: { groups: ['system:authenticated'] } })
  const token = await authenticate(credentials({ authorization: 'Bearer t' }))
  expect(token).toMatchObject({ method: 'oidc' })
  const browser = await authenticate(credentials({ webSocketToken: 't' }))
  expect(browser).toMatchObject({ method: 'oidc' })
  expect(results).toEqual(['x509 ok', 'oidc ok', 'oidc ok'])
})

test('methods are asked in their order, until one takes the credential for its own', async () => {
  const declines = signIn('first', 'token', () => undefined)
  const { authenticate, results } = union([
    declines,
    oidc(),
    signIn('last', 'token', () => expect.fail()),
  ])
  const recognized = await authenticate(credentials({ authorization: 'Bearer t' }))
  expect(recognized).toMatchObject({ method: 'oidc' })
  expect(results).toEqual(['oidc ok'])
})

test('only groups that the guard drops are reported, not those that a filter has left out', async () => {
  const { user, ...rest } = authentication('oidc')
  const filtered = { ...user, groups: ['dev', 'ops '], unassertedGroups: ['left', 'out'] }
  const { authenticate, results } = union([oidc(() => ({ ...rest, user: filtered }))])
  expect(await authenticate(credentials({ authorization: 'Bearer t' }))).toMatchObject({
    user: {
      groups: ['dev', 'system:authenticated'],
      unassertedGroups: ['left', 'out', 'ops ', 'ops'],
    },
  })
  expect(results).toEqual(['ada ["ops ","ops"]', 'oidc ok'])
})

test('a name that another method reserves is refused, also after it was accepted', async () => {
  const reserved: string[] = []
  const reserving = { ...oidc(), reserves: () => reserved[0] }
  const { authenticate, results } = union([x509(), reserving])
  const certificate = () => authenticate(credentials({ certificate: true }))
  expect(await certificate()).toMatchObject({ user: { username: 'ada' } })
  reserved.push('user name "ada" is taken')
  expect(certificate).toThrow(
    expect.objectContaining({ code: 403, message: 'identity rejected: user name "ada" is taken' }),
  )
  const token = await authenticate(credentials({ authorization: 'Bearer t' }))
  expect(token).toMatchObject({ method: 'oidc' })
  expect(results).toEqual(['x509 ok', 'x509 refused', 'oidc ok'])
})

test('dropped groups are reported once for a user', async () => {
  const user = { username: 'ada', uid: '', groups: ['dev ', 'ops'], extra: {} }
  const known = { user, method: 'oidc', annotations: {} }
  const { authenticate, results } = union([oidc(() => known)])
  for (let i = 0; i < 2; i++) {
    expect(await authenticate(credentials({ authorization: 'Bearer t' }))).toMatchObject({
      user: { groups: ['ops', 'system:authenticated'] },
    })
  }
  expect(results).toEqual(['ada ["dev ","dev"]', 'oidc ok', 'oidc ok'])
})

test('a credential without a verdict counts as failed', async () => {
  const undecided = oidc(() => {
    throw new StatusError('ServiceUnavailable', 'no verdict')
  })
  const { authenticate, results } = union([undecided])
  expect(() => authenticate(credentials({ authorization: 'Bearer t' }))).toThrow('no verdict')
  expect(results).toEqual(['oidc failed'])
})

test('no credential is nobody', async () => {
  expect(await union().authenticate(credentials({}))).toBeUndefined()
})

test('the same user of an authenticator is the same object afterwards', async () => {
  const known = authentication('oidc')
  const { authenticate } = union([oidc(() => known)])
  const first = await authenticate(credentials({ authorization: 'Bearer t' }))
  expect(await authenticate(credentials({ authorization: 'Bearer t' }))).toBe(first)
})

test('a user that two methods share keeps the method and annotations of the one that accepted', async () => {
  const { user } = authentication('x509')
  const byCertificate = { user, method: 'x509', annotations: { from: 'certificate' } }
  const byToken = { user, method: 'oidc', annotations: { from: 'token' } }
  const { authenticate } = union([x509(() => byCertificate), oidc(() => byToken)])
  await authenticate(credentials({ certificate: true }))
  const second = await authenticate(credentials({ authorization: 'Bearer t' }))
  expect(second).toMatchObject({ method: 'oidc', annotations: { from: 'token' } })
})

test('a method whose users others have named may give names that these reserve', async () => {
  const reserving = { ...oidc(), reserves: () => 'reserved' }
  const issued = { ...x509(() => authentication('issued')), namesAnyone: true }
  const { authenticate } = union([issued, reserving])
  expect(await authenticate(credentials({ certificate: true }))).toMatchObject({ method: 'issued' })
})

describe('a token that is bound to a certificate', () => {
  const bound = (boundTo: string) => oidc(() => ({ ...authentication('oidc'), boundTo }))
  const both = { certificate: true, authorization: 'Bearer t' }

  test('passes with this certificate, and its user is the user of the request', async () => {
    const { authenticate, results } = union([x509(() => expect.fail()), bound('abcd')])
    expect(await authenticate(credentials(both))).toMatchObject({ method: 'oidc' })
    const browser = { certificate: true, webSocketToken: 't' }
    expect(await authenticate(credentials(browser))).toMatchObject({ method: 'oidc' })
    expect(results).toEqual(['oidc ok', 'oidc ok'])
  })

  test.for([
    ['without a certificate', 'abcd', { authorization: 'Bearer t' }, /did not come with it/],
    ['with another certificate', 'abce', both, /bound to another client certificate/],
  ] as const)('is refused %s', ([, boundTo, given, cause]) => {
    expect(() => union([x509(), bound(boundTo)]).authenticate(credentials(given))).toThrow(
      expect.objectContaining({
        code: 401,
        cause: expect.objectContaining({
          message: expect.stringMatching(cause) as string,
        }) as Error,
      }),
    )
  })

  test('is refused with a certificate that would not be accepted alone', () => {
    const { authenticate } = union([x509(), bound('abcd')], () => {
      throw unauthorized('revoked')
    })
    expect(() => authenticate(credentials(both))).toThrow('Unauthorized')
  })

  test('is checked with every request, although the token is known', () => {
    const { authenticate } = union([x509(), bound('abcd')])
    expect(authenticate(credentials(both))).toBeDefined()
    expect(() => authenticate(credentials({ authorization: 'Bearer t' }))).toThrow('Unauthorized')
  })
})

describe('is refused', () => {
  const cases: { name: string; given: Parameters<typeof credentials>[0]; cause: string }[] = [
    {
      name: 'a certificate with a token',
      given: { certificate: true, authorization: 'Bearer t' },
      cause: 'two credentials: a client certificate and a token',
    },
    {
      name: 'a certificate with a token among the subprotocols',
      given: { certificate: true, webSocketToken: 't' },
      cause: 'two credentials: a client certificate and a token',
    },
    {
      name: 'two tokens',
      given: { authorization: 'Bearer t', webSocketToken: 'u' },
      cause: 'two credentials: a token in Authorization, another in the subprotocols',
    },
    {
      name: 'Basic',
      given: { authorization: 'Basic YTpi' },
      cause: 'the Authorization header is not of the form "Bearer TOKEN"',
    },
  ]

  test.for(cases)('$name', ({ given, cause }) => {
    expect(() => union().authenticate(credentials(given))).toThrow(
      expect.objectContaining({
        code: 401,
        cause: expect.objectContaining({ message: cause }) as Error,
      }),
    )
  })

  test('a bad certificate, without the next method being asked', () => {
    let asked = false
    const { authenticate, results } = union([
      x509(() => {
        throw unauthorized('expired')
      }),
      signIn('next', 'certificate', () => {
        asked = true
        return authentication('next')
      }),
    ])
    expect(() => authenticate(credentials({ certificate: true }))).toThrow('Unauthorized')
    expect({ asked, results }).toEqual({ asked: false, results: ['x509 refused'] })
  })

  test('a token where tokens are not accepted, and a certificate likewise', () => {
    const token = union([x509()])
    const refusal = (cause: string): unknown =>
      expect.objectContaining({
        code: 401,
        cause: expect.objectContaining({ message: cause }) as Error,
      })
    expect(() => token.authenticate(credentials({ authorization: 'Bearer t' }))).toThrow(
      refusal('tokens are not accepted'),
    )
    const certificate = union([oidc()])
    expect(() => certificate.authenticate(credentials({ certificate: true }))).toThrow(
      refusal('client certificates are not accepted'),
    )
    expect([token.results, certificate.results]).toEqual([['none refused'], ['none refused']])
  })

  test('an identity of Kubernetes, also from a token that takes time to verify', async () => {
    const { authenticate, results } = union([
      oidc(() => Promise.resolve(authentication('oidc', 'system:admin'))),
    ])
    await expect(authenticate(credentials({ authorization: 'Bearer t' }))).rejects.toMatchObject({
      code: 403,
    })
    expect(results).toEqual(['oidc refused'])
  })
})
