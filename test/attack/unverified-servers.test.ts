/**
 * Servers with a certificate that nobody trusts, while the environment tells Node to accept any: what Gatehouse
 * sends to its own dependencies are credentials, and what it believes of them is who users are.
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type Server } from 'node:tls'

import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'
import { LOOPBACK } from '../../dev/loopback.ts'
import { createJsonFetcher } from '../../src/authentication/oidc/json-fetch.ts'
import { endpointOf } from '../../src/cluster/endpoint.ts'
import { createReviewClient } from '../../src/cluster/review-client.ts'
import { connectServer } from '../../src/ldap/connection.ts'
import { openStore } from '../support/redis-store.ts'

let impostor: Server
let port: number
/** The CA of another server. */
let ca: string
let received = ''
let handshakes = 0

beforeAll(async () => {
  const [authority, other] = await Promise.all(
    ['impostors', 'trusted'].map((commonName) => createAuthority({ commonName })),
  )
  ca = other!.certificatePem
  const pair = await authority!.issue({
    ...{ commonName: 'impostor', ipAddresses: [LOOPBACK], usages: ['server'] },
  })
  impostor = createServer({ cert: pair.certificatePem, key: pair.keyPem }, (socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (data) => {
      received += data.toString('latin1')
      socket.destroy()
    })
  })
  impostor.on('connection', () => handshakes++)
  impostor.listen(0, LOOPBACK)
  await once(impostor, 'listening')
  port = (impostor.address() as AddressInfo).port
})

afterAll(() => void impostor.close())

beforeEach(() => {
  received = ''
  handshakes = 0
  vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
})

async function redis(): Promise<string> {
  const { store } = openStore(port, { ca, password: 'secret' })
  const settled = (): boolean => received !== '' || (store.problem ?? '').includes('certificate')
  await expect.poll(settled).toBe(true)
  const { problem } = store
  await store.close()
  return String(problem)
}

async function directory(): Promise<string> {
  const options = { startTLS: false, timeout: 10_000 }
  const connecting = connectServer(`ldaps://${LOOPBACK}:${port}`, options, { ca })
  return messageOf(connecting.then((client) => client.bind('cn=gatehouse', 'secret')))
}

async function apiServer(): Promise<string> {
  const tls = { ca, cert: undefined, key: undefined }
  const endpoint = endpointOf(new URL(`https://${LOOPBACK}:${port}`), tls, undefined)
  const credential = { endpoint, token: 'secret', files: [], secretFiles: [] }
  const client = createReviewClient({ credential, timeout: 10_000, idleTimeout: 1_000 })
  const message = await messageOf(client.post({ kind: 'SelfSubjectReview', as: 'gatehouse' }))
  await client.close()
  return message
}

async function issuer(certificateAuthority: string | undefined): Promise<string> {
  const fetcher = createJsonFetcher({ certificateAuthority, proxyFor: () => undefined })
  return fetched(fetcher)
}

async function proxy(): Promise<string> {
  const url = new URL(`https://user:secret@${LOOPBACK}:${port}`)
  return fetched(createJsonFetcher({ certificateAuthority: ca, proxyFor: () => url }))
}

async function fetched(fetcher: ReturnType<typeof createJsonFetcher>): Promise<string> {
  const url = new URL(`https://${LOOPBACK}:${port}/keys`)
  const message = await messageOf(fetcher.fetchJson(url, AbortSignal.timeout(10_000)))
  fetcher.close()
  return message
}

async function messageOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'there was no error',
    (error: unknown) => (error as Error).message,
  )
}

test.for<readonly [what: string, connect: () => Promise<string>]>([
  ['Redis', redis],
  ['a directory', directory],
  ['the API server', apiServer],
  ['an issuer or a source of groups with a CA', () => issuer(ca)],
  ['an issuer or a source of groups of a public CA', () => issuer(undefined)],
  ['a proxy', proxy],
])('%s gets nothing', async ([, connect]) => {
  expect(await connect()).toMatch(/certificate/)
  expect(handshakes).toBeGreaterThan(0)
  expect(received).toBe('')
})
