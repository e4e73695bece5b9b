/** An OpenID Connect issuer on loopback: discovery, keys and one token, which is all that is asked. */
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'

import { exportJWK, generateKeyPair, SignJWT } from 'jose'

import type { CertificateFiles } from '../certs-dev/files.ts'

export const audience = 'gatehouse'
export const groups = ['engineers', 'oncall', 'platform', 'berlin', 'everybody']

export interface Issuer {
  url: string
  /** An RS256 ID token of one user, good for a day. */
  token: string
  close: () => void
}

/** Starts it on a free port. */
export async function startIssuer(certificate: CertificateFiles): Promise<Issuer> {
  const { publicKey, privateKey } = await generateKeyPair('RS256', { modulusLength: 2048 })
  const jwk = { ...(await exportJWK(publicKey)), kid: 'bench', alg: 'RS256', use: 'sig' }
  const server = createServer({
    cert: await readFile(certificate.certFile),
    key: await readFile(certificate.keyFile),
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  const documents: Partial<Record<string, unknown>> = {
    '/.well-known/openid-configuration': {
      issuer: url,
      jwks_uri: `${url}/keys`,
      authorization_endpoint: `${url}/authorize`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
    },
    '/keys': { keys: [jwk] },
  }
  server.on('request', (request, response) => {
    const document = documents[request.url ?? '']
    response.writeHead(document === undefined ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(document ?? {}))
  })
  server.unref()
  const token = await new SignJWT({
    groups,
    email: 'ada@example.com',
    email_verified: true,
    name: 'Ada Lovelace',
  })
    .setProtectedHeader({ alg: 'RS256', kid: jwk.kid })
    .setIssuer(url)
    .setAudience(audience)
    .setSubject('ada@example.com')
    .setJti('5b1e6f0c-52f4-4d6c-b7f6-6f5f1f2f9d1a')
    .setIssuedAt()
    .setExpirationTime('1d')
    .sign(privateKey)
  return {
    url,
    token,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
