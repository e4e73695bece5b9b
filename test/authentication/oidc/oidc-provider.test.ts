/** Tests with ID tokens of a real identity provider, the npm package oidc-provider, over https. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { createAuthority } from '../../../certs-dev/pki.ts'
import { startIdentityProvider, type IdentityProvider } from '../../../dev/identity-provider.ts'
import { loadAuthenticationConfiguration } from '../../../src/authentication/oidc/authentication-config.ts'
import { createLog } from '../../../src/log.ts'
import { refusalOf } from './issuer.ts'
import { startOidc, type TestOidc } from './oidc-sign-in.ts'

let folder: string
let certificateAuthority: string
let provider: IdentityProvider
let oidc: TestOidc | undefined

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-oidc-provider-'))
  const authority = await createAuthority({ commonName: 'identity provider authority' })
  certificateAuthority = authority.certificatePem
  const server = await authority.issue({
    commonName: 'identity provider',
    ipAddresses: ['127.0.0.1'],
    usages: ['server'],
  })
  const files = { certFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') }
  const caFile = join(folder, 'ca.crt')
  await writeFile(files.certFile, server.certificatePem)
  await writeFile(files.keyFile, server.keyPem)
  await writeFile(caFile, certificateAuthority)
  provider = await startIdentityProvider({
    accounts: [
      {
        subject: 'u-1',
        preferredUsername: 'ada',
        email: 'ada@example.com',
        groups: ['engineers', 'on call'],
      },
    ],
    serving: files,
    caFile,
  })
})
afterAll(async () => {
  oidc?.close()
  await provider.close()
  await rm(folder, { recursive: true })
})

/** Starts an authenticator with an AuthenticationConfiguration file for the provider. */
async function start(audience: string, usernameClaim: string): Promise<TestOidc> {
  const file = join(folder, 'authentication.yaml')
  const issuer = { url: provider.issuer, audiences: [audience], certificateAuthority }
  await writeFile(
    file,
    `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
  - issuer: ${JSON.stringify(issuer)}
    claimMappings:
      username: { claim: ${usernameClaim}, prefix: 'oidc:' }
      groups: { claim: groups, prefix: 'oidc:' }
      uid: { claim: sub }
`,
  )
  oidc?.close()
  oidc = startOidc(loadAuthenticationConfiguration(file), {
    log: createLog({ level: 'silent' }),
  })
  return oidc
}

test.for([
  ['preferred_username', 'oidc:ada'],
  ['email', 'oidc:ada@example.com'],
  ['sub', 'oidc:u-1'],
] as const)('an ID token authenticates its user by the claim %s', async ([claim, username]) => {
  const authenticator = await start(provider.clientId, claim)
  const token = await provider.idToken('u-1')
  expect(await authenticator.authenticate(token)).toEqual({
    user: {
      username,
      uid: 'u-1',
      groups: ['oidc:engineers', 'oidc:on call'],
      extra: {},
    },
    method: 'oidc',
    annotations: { 'authentication.gatehouse/issuer': provider.issuer },
    expiresAt: expect.any(Number) as number,
    origin: {
      ...{ issuer: provider.issuer, subject: 'u-1', session: undefined },
      issuedAt: expect.any(Number) as number,
      credentialIssuedAt: expect.any(Number) as number,
    },
  })
  expect(authenticator.authenticate(token)).not.toBeInstanceOf(Promise)
  expect(authenticator.readiness()).toEqual([
    { name: `jwks ${provider.issuer}`, problem: undefined, wasTried: true, way: provider.issuer },
  ])
})

test('an ID token for another client is refused', async () => {
  const authenticator = await start('another-client', 'sub')
  const token = await provider.idToken('u-1')
  expect(await refusalOf(() => authenticator.authenticate(token))).toMatch(/another audience/)
})
