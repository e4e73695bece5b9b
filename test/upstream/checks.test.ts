import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'

import { afterEach, expect, test } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'
import { endpointOf } from '../../src/cluster/endpoint.ts'
import { checkUpstream, type UpstreamChecks } from '../../src/upstream/checks.ts'
import { IMPERSONATION } from '../../src/upstream/identity.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'

let api: ApiServer | undefined

afterEach(async () => {
  await api?.close()
  api = undefined
})

/** By a CA that vouches for nobody. */
async function check(url: string): Promise<UpstreamChecks> {
  const { certificatePem } = await createAuthority({ commonName: 'stranger' })
  const tls = { ca: certificatePem, cert: undefined, key: undefined }
  return checkUpstream({
    credential: { endpoint: endpointOf(new URL(url), tls, undefined), token: 't', files: [] },
    identity: IMPERSONATION,
    tolerateAnonymousAuth: false,
    timeoutMs: 30_000,
  })
}

const NOT_KNOWN = 'not known while the API server is not reachable'

test('an API server that another CA vouches for is told of once, in words', async () => {
  api = await startApiServer()
  expect(await check(api.url)).toEqual({
    reachable: expect.stringMatching(
      /cannot be reached: its certificate is signed by none of the CAs .* \([A-Z_]+\)$/,
    ) as string,
    rejectsAnonymous: NOT_KNOWN,
    assertsIdentity: NOT_KNOWN,
  })
})

test('an API server that is not there is told of once', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => void server.close(resolve))
  expect(await check(`https://127.0.0.1:${port}`)).toEqual({
    reachable: 'the API server cannot be reached: ECONNREFUSED',
    rejectsAnonymous: NOT_KNOWN,
    assertsIdentity: NOT_KNOWN,
  })
})
