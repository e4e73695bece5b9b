/** The cause in the audit log for certificates that do not verify, with revocation lists configured. */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { createAuthority, type Authority, type KeyPair } from '../../certs-dev/pki.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'

let api: ApiServer
let gatehouse: TestGatehouse
let folder: string
let listed: Authority
let unknown: Authority

beforeAll(async () => {
  api = await startApiServer()
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-foreign-'))
  listed = await createAuthority({ commonName: 'listed' })
  unknown = await createAuthority({ commonName: 'unknown' })
  const x509 = { clientCAFile: join(folder, 'ca.crt'), crlFile: join(folder, 'ca.crl') }
  await writeFile(x509.clientCAFile, listed.certificatePem)
  await writeFile(x509.crlFile, await listed.revoke([]))
  gatehouse = await startTestGatehouse({
    upstream: upstreamOf(api),
    configuration: { authentication: { x509 } },
  })
})

afterAll(async () => {
  await gatehouse.close()
  await api.close()
  await rm(folder, { recursive: true })
})

let asked = 0

async function causeFor(chain: KeyPair, above = ''): Promise<string | undefined> {
  const path = `/asked/${(asked += 1)}`
  const options = { ca: gatehouse.ca, agent: false as const, key: chain.keyPem }
  const cert = chain.certificatePem + above
  const request = httpsRequest(`${gatehouse.url}${path}`, { ...options, cert }).end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.resume()
  expect(response.statusCode).toBe(401)
  const [event] = await gatehouse.eventsWhere(({ requestURI }) => requestURI === path)
  return event?.annotations['gatehouse/cause']
}

const FOREIGN =
  /^client certificate: (?:it was not issued by a client CA|its root CA is not in the client CA bundle) \([A-Z_]+\)$/

test('a certificate of an unknown CA is reported as such, whatever chain is sent with it', async () => {
  const leaf = await unknown.issue({ commonName: 'ada', usages: ['client'] })
  expect(await causeFor(leaf)).toMatch(FOREIGN)
  expect(await causeFor(leaf, unknown.certificatePem)).toMatch(FOREIGN)
  expect(await causeFor(leaf, listed.certificatePem)).toMatch(FOREIGN)
  // A CA's certificate is not for signing in, whoever trusts it.
  expect(await causeFor(unknown)).toMatch(/\(INVALID_PURPOSE\)$/)
})

test('a certificate of a CA without a revocation list, below a client CA, is reported as such', async () => {
  const cause =
    'client certificate: there is no revocation list of its CA in authentication.x509.crlFile (UNABLE_TO_GET_CRL)'
  const team = await listed.createIntermediate({ commonName: 'team' })
  const below = await team.issue({ commonName: 'grace', usages: ['client'] })
  expect(await causeFor(below, team.certificatePem)).toBe(cause)
  expect(await causeFor(below, team.certificatePem + listed.certificatePem)).toBe(cause)
})
