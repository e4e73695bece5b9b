/** A CA file that holds only an intermediate CA, for the API server and for an issuer. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { createAuthority, type Authority } from '../../certs-dev/pki.ts'
import { createJsonFetcher } from '../../src/authentication/oidc/json-fetch.ts'
import { connectTls } from '../../src/cluster/connect.ts'
import { endpointOf } from '../../src/cluster/endpoint.ts'
import { createReviewClient } from '../../src/cluster/review-client.ts'

let root: Authority
let team: Authority
let other: Authority
let server: Server
let url: URL

beforeAll(async () => {
  root = await createAuthority({ commonName: 'root' })
  team = await root.createIntermediate({ commonName: 'team' })
  other = await root.createIntermediate({ commonName: 'other' })
  const names = { commonName: 'x', ipAddresses: ['127.0.0.1'], usages: ['server'] as const }
  const { certificatePem, keyPem } = await team.issue(names)
  server = createServer({ cert: certificatePem + team.certificatePem, key: keyPem })
  server.on('request', (_request, response) => response.end('{}'))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`)
})

afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const limits = {
  maxConnections: 1,
  connectTimeout: 5_000,
  idleTimeout: 1_000,
  responseHeaderTimeout: 5_000,
  stallTimeout: 5_000,
  bodyTimeout: 5_000,
}

const tlsOf = ({ certificatePem: ca }: Authority) =>
  endpointOf(url, { ca, cert: undefined, key: undefined }, undefined)

const clients: [string, (ca: Authority) => Promise<unknown>][] = [
  [
    'a connection to the API server',
    async (ca) => {
      const socket = connectTls(tlsOf(ca), limits, { protocols: ['http/1.1'] })
      await once(socket, 'secureConnect')
      socket.destroy()
    },
  ],
  [
    'a review',
    async (ca) => {
      const credential = { endpoint: tlsOf(ca), token: 'x', files: [], secretFiles: [] }
      const options = { credential, timeout: 5_000, idleTimeout: 1_000 }
      const client = createReviewClient(options)
      await client.post({ kind: 'SelfSubjectReview', as: 'gatehouse' }).finally(() => {
        return client.close()
      })
    },
  ],
  [
    'the fetch of a key set',
    async ({ certificatePem }) => {
      const fetcher = createJsonFetcher({
        certificateAuthority: certificatePem,
        proxyFor: () => undefined,
      })
      await fetcher.fetchJson(url, AbortSignal.timeout(5_000)).finally(() => fetcher.close())
    },
  ],
]

describe.for(clients)('%s', ([, connect]) => {
  test('takes the intermediate CA of the server for a trust anchor without its root', async () => {
    await expect(connect(team)).resolves.not.toThrow()
    await expect(connect(root)).resolves.not.toThrow()
  })

  test('does not trust another intermediate CA of the same root', async () => {
    await expect(connect(other)).rejects.toThrow()
  })
})
