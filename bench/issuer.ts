/** An OpenID Connect issuer on loopback, with discovery, keys and one token. */
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:https'

import { exportJWK, generateKeyPair, SignJWT } from 'jose'

import type { CertificateFiles } from '../certs-dev/files.ts'
import { listenOnLoopback, LOOPBACK } from '../dev/loopback.ts'

/** The audience of the token. */
export const AUDIENCE = 'gatehouse'
const GROUPS = ['engineers', 'oncall', 'platform', 'berlin', 'everybody']

export interface Issuer {
  url: string
  /** An RS256 ID token of one user, valid for a day. */
  token: string
  close: () => void
}

/** Starts an issuer on a free port of 127.0.0.1. */
export async function startIssuer(certificate: CertificateFiles): Promise<Issuer> {
  const { publicKey, privateKey } = await generateKeyPair('RS256', { modulusLength: 2048 })
  const jwk = { ...(await exportJWK(publicKey)), kid: 'bench', alg: 'RS256', use: 'sig' }
  const server = createServer({
    cert: await readFile(certificate.certFile),
    key: await readFile(certificate.keyFile),
  })
  const url = `https://${LOOPBACK}:${await listenOnLoopback(server)}`
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
    groups: GROUPS,
    email: 'ada@example.com',
    email_verified: true,
    name: 'Ada Lovelace',
  })
    .setProtectedHeader({ alg: 'RS256', kid: jwk.kid })
    .setIssuer(url)
    .setAudience(AUDIENCE)
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
