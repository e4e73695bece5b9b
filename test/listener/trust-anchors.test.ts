/** CA files that hold only an intermediate CA, for clients, for the API server and for an issuer. */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { createAuthority, type Authority, type KeyPair } from '../../certs-dev/pki.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'

let api: ApiServer
let root: Authority
let team: Authority

beforeAll(async () => {
  root = await createAuthority({ commonName: 'root' })
  team = await root.createIntermediate({ commonName: 'team' })
  api = await startApiServer()
})

afterAll(() => api.close())

/** Clients that dial an address send no server name: another TLS context judges them. */
const servernames = ['', 'localhost', 'unknown.example']

async function statusFor(
  { url, ca }: TestGatehouse,
  user: KeyPair,
  servername: string,
  above = '',
): Promise<number | undefined> {
  const options = { ca, agent: false as const, key: user.keyPem, servername }
  const request = httpsRequest(`${url}/version`, {
    ...options,
    cert: user.certificatePem + above,
    checkServerIdentity: () => undefined,
  }).end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.resume()
  return response.statusCode
}

describe.for([
  ['without revocation lists', false],
  ['with its revocation list', true],
] as const)('a client CA file that holds only an intermediate CA, %s', ([, withList]) => {
  let folder: string
  let gatehouse: TestGatehouse
  let ada: KeyPair

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-anchors-'))
    ada = await team.issue({ commonName: 'ada', usages: ['client'] })
    const clientCAFile = join(folder, 'ca.crt')
    const crlFile = join(folder, 'ca.crl')
    await writeFile(clientCAFile, team.certificatePem)
    await writeFile(crlFile, await team.revoke([]))
    gatehouse = await startTestGatehouse({
      upstream: upstreamOf(api),
      configuration: {
        authentication: { x509: withList ? { clientCAFile, crlFile } : { clientCAFile } },
        listener: {
          tls: {
            sniCertificates: [
              { certFile: 'serving.crt', privateKeyFile: 'serving.key', names: ['localhost'] },
            ],
          },
        },
      },
    })
  })

  afterAll(async () => {
    await gatehouse.close()
    await rm(folder, { recursive: true })
  })

  test.for(servernames)('admits its users (server name %j)', async (servername) => {
    expect(await statusFor(gatehouse, ada, servername)).toBe(200)
    expect(await statusFor(gatehouse, ada, servername, team.certificatePem)).toBe(200)
  })

  test.for(servernames)('admits nobody else of its root (server name %j)', async (servername) => {
    const other = await root.issue({ commonName: 'eve', usages: ['client'] })
    expect(await statusFor(gatehouse, other, servername)).toBe(401)
    expect(await statusFor(gatehouse, other, servername, root.certificatePem)).toBe(401)
  })

  test.runIf(withList)('refuses a user whom its list names, after a reload', async () => {
    await writeFile(join(folder, 'ca.crl'), await team.revoke([ada.certificatePem]))
    for (const servername of servernames) {
      await expect.poll(() => statusFor(gatehouse, ada, servername)).toBe(401)
    }
    const grace = await team.issue({ commonName: 'grace', usages: ['client'] })
    for (const servername of servernames) {
      expect(await statusFor(gatehouse, grace, servername)).toBe(200)
    }
  })
})
