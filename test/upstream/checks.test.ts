import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'

import { afterEach, expect, test } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'
import { endpointOf } from '../../src/cluster/endpoint.ts'
import { createReviewClient } from '../../src/cluster/review-client.ts'
import { checkUpstream, type UpstreamChecks } from '../../src/upstream/checks.ts'
import { IMPERSONATION } from '../../src/upstream/identity.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'

let api: ApiServer | undefined

afterEach(async () => {
  await api?.close()
  api = undefined
})

/** With a CA that has not signed any of the certificates. */
async function check(url: string): Promise<UpstreamChecks> {
  const { certificatePem } = await createAuthority({ commonName: 'another' })
  const tls = { ca: certificatePem, cert: undefined, key: undefined }
  const endpoint = endpointOf(new URL(url), tls, undefined)
  const reviewClient = createReviewClient({
    credential: { endpoint, token: 't', files: [], secretFiles: [] },
    timeout: 30_000,
    idleTimeout: 1_000,
  })
  try {
    return await checkUpstream({
      reviewClient,
      identity: IMPERSONATION,
      tolerateAnonymousAuth: false,
    })
  } finally {
    await reviewClient.close()
  }
}

const UNKNOWN = 'unknown while the API server is unreachable'

test('an API server with a certificate of an unknown CA is reported once, with a description', async () => {
  api = await startApiServer()
  expect(await check(api.url)).toEqual({
    reachable: expect.stringMatching(
      /cannot be reached: its certificate is not signed by a CA in the certificate-authority .* \([A-Z_]+\)$/,
    ) as string,
    rejectsAnonymous: UNKNOWN,
    assertsIdentity: UNKNOWN,
    identity: { verdict: 'unknown', problem: UNKNOWN },
  })
})

test('an API server that does not listen is reported once', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => void server.close(resolve))
  expect(await check(`https://127.0.0.1:${port}`)).toEqual({
    reachable: 'the API server cannot be reached: ECONNREFUSED',
    rejectsAnonymous: UNKNOWN,
    assertsIdentity: UNKNOWN,
    identity: { verdict: 'unknown', problem: UNKNOWN },
  })
})
