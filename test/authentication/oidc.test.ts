import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import type { AuthenticationConfiguration } from '../../src/authentication/authentication-config.ts'
import {
  createOidcAuthenticator,
  type OidcAuthenticator,
  type OidcDependencies,
} from '../../src/authentication/oidc.ts'
import { createLog } from '../../src/log.ts'
import {
  configuration,
  createSigningKey,
  issuerConfiguration,
  signToken,
  startIssuer,
  type SigningKey,
  type TestIssuer,
} from './issuer.ts'

const log = createLog({ level: 'silent' })
let key: SigningKey
let issuer: TestIssuer
let authenticator: OidcAuthenticator | undefined

beforeAll(async () => {
  key = await createSigningKey('one')
  issuer = await startIssuer([key.publicJwk])
})
afterEach(() => {
  authenticator?.close()
  authenticator = undefined
})
afterAll(async () => issuer.close())

function start(
  config: AuthenticationConfiguration,
  dependencies: Partial<OidcDependencies> = {},
): OidcAuthenticator {
  authenticator = createOidcAuthenticator(config, { log, ...dependencies })
  return authenticator
}

describe('a good token', () => {
  test('is the user that its claims name', async () => {
    const oidc = start(configuration(issuerConfiguration(issuer)))
    const token = await signToken(issuer, key, { claims: { groups: ['dev', 'ops'], jti: 'j-1' } })
    expect(await oidc.authenticate(token)).toEqual({
      user: {
        username: 'oidc:ada',
        uid: '',
        groups: ['oidc:dev', 'oidc:ops'],
        extra: { 'authentication.kubernetes.io/credential-id': ['JTI=j-1'] },
      },
      method: 'oidc',
      annotations: { 'authentication.gatehouse/issuer': issuer.url },
    })
  })
})
