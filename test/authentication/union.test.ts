import { describe, expect, test } from 'vitest'

import type { Authentication, Credentials } from '../../src/authentication/authenticator.ts'
import { unauthorized } from '../../src/authentication/bearer.ts'
import { createUnion, type UnionOptions } from '../../src/authentication/union.ts'
import type { PeerCertificate } from '../../src/http/exchange.ts'

const CERTIFICATE = {} as PeerCertificate

function authentication(method: string, username = 'ada'): Authentication {
  return { user: { username, uid: '', groups: [], extra: {} }, method, annotations: {} }
}

function union(options: Partial<UnionOptions> = {}) {
  const results: string[] = []
  const authenticate = createUnion({
    x509: () => authentication('x509'),
    token: () => authentication('oidc'),
    systemIdentities: { users: [], groups: [] },
    onResult: (method, result) => results.push(`${method} ${result}`),
    ...options,
  })
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
  }
}

test('each credential goes to its authenticator, and the user gets system:authenticated', async () => {
  const { authenticate, results } = union()
  const certificate = await authenticate(credentials({ certificate: true }))
  expect(certificate).toMatchObject({ method: 'x509', user: { groups: ['system:authenticated'] } })
  const token = await authenticate(credentials({ authorization: 'Bearer t' }))
  expect(token).toMatchObject({ method: 'oidc' })
  const browser = await authenticate(credentials({ webSocketToken: 't' }))
  expect(browser).toMatchObject({ method: 'oidc' })
  expect(results).toEqual(['x509 ok', 'oidc ok', 'oidc ok'])
})

test('no credential is nobody', async () => {
  expect(await union().authenticate(credentials({}))).toBeUndefined()
})

test('the same user of an authenticator is the same object afterwards', async () => {
  const known = authentication('oidc')
  const { authenticate } = union({ token: () => known })
  const first = await authenticate(credentials({ authorization: 'Bearer t' }))
  expect(await authenticate(credentials({ authorization: 'Bearer t' }))).toBe(first)
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
    { name: 'Basic', given: { authorization: 'Basic YTpi' }, cause: 'not a bearer token' },
  ]

  test.for(cases)('$name', ({ given, cause }) => {
    expect(() => union().authenticate(credentials(given))).toThrow(
      expect.objectContaining({
        code: 401,
        cause: expect.objectContaining({ message: cause }) as Error,
      }),
    )
  })

  test('a bad certificate, without the next authenticator being asked', () => {
    let asked = false
    const { authenticate, results } = union({
      x509: () => {
        throw unauthorized('expired')
      },
      token: () => {
        asked = true
        return authentication('oidc')
      },
    })
    expect(() => authenticate(credentials({ certificate: true }))).toThrow('Unauthorized')
    expect({ asked, results }).toEqual({ asked: false, results: ['x509 refused'] })
  })

  test('a token where tokens are no way in, a certificate likewise', () => {
    const token = union({ token: undefined }).authenticate
    expect(() => token(credentials({ authorization: 'Bearer t' }))).toThrow('Unauthorized')
    const certificate = union({ x509: undefined }).authenticate
    expect(() => certificate(credentials({ certificate: true }))).toThrow('Unauthorized')
  })

  test('an identity of Kubernetes, also from a token that takes time to verify', async () => {
    const { authenticate, results } = union({
      token: () => Promise.resolve(authentication('oidc', 'system:admin')),
    })
    await expect(authenticate(credentials({ authorization: 'Bearer t' }))).rejects.toMatchObject({
      code: 403,
    })
    expect(results).toEqual(['oidc refused'])
  })
})
