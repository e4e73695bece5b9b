import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'

import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { createAuthority, type KeyPair } from '../../certs-dev/pki.ts'
import type { UpstreamCredential } from '../../src/cluster/credential.ts'
import { endpointOf } from '../../src/cluster/endpoint.ts'
import {
  createReviewClient,
  ReviewError,
  type ReviewClient,
  type ReviewRequest,
} from '../../src/cluster/review-client.ts'
import { memoryLog } from '../audit/fixtures.ts'
import {
  createApiServerCertificates,
  type ApiServerCertificates,
} from '../support/api-server-certificates.ts'

const SELF: ReviewRequest = { kind: 'SelfSubjectReview', as: 'gatehouse' }
const ANONYMOUS: ReviewRequest = { kind: 'SelfSubjectReview', as: 'anonymous' }

interface Received {
  readonly method: string | undefined
  readonly path: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: unknown
  /** Common name of the client certificate; undefined without one. */
  readonly certificate: string | undefined
  /** Number of the connection, from 1. */
  readonly connection: number
}

let certificates: ApiServerCertificates
let server: Server
let url: string
let received: Received[]
let respond: (response: ServerResponse, request: IncomingMessage) => void
let client: ReviewClient | undefined

const respondJson = (response: ServerResponse, status = 201, value: unknown = { ok: true }): void =>
  void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))

beforeAll(async () => {
  certificates = await createApiServerCertificates()
})

beforeEach(async () => {
  const { serving, clientAuthority } = certificates
  received = []
  respond = (response) => respondJson(response)
  const connections = new WeakMap<object, number>()
  let total = 0
  server = createServer({
    cert: serving.certificatePem,
    key: serving.keyPem,
    ca: clientAuthority.certificatePem,
    requestCert: true,
    rejectUnauthorized: false,
  })
  server.on('secureConnection', (socket: TLSSocket) => connections.set(socket, ++total))
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const socket = request.socket as unknown as Pick<TLSSocket, 'getPeerCertificate'>
    // An empty object when there is no certificate.
    const { subject } = socket.getPeerCertificate() as { subject?: { CN?: string } }
    void text(request).then((body) => {
      received.push({
        method: request.method,
        path: request.url,
        headers: request.headers,
        body: JSON.parse(body),
        certificate: subject?.CN,
        connection: connections.get(request.socket) ?? 0,
      })
      respond(response, request)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(async () => {
  await client?.close()
  client = undefined
  server.closeAllConnections()
  server.close()
})

function credential({
  token,
  pair,
  ca = certificates.authority.certificatePem,
  at = url,
}: {
  readonly token?: string
  readonly pair?: KeyPair
  readonly ca?: string
  readonly at?: string
}): UpstreamCredential {
  const tls = { ca, cert: pair?.certificatePem, key: pair?.keyPem }
  return { endpoint: endpointOf(new URL(at), tls, undefined), token, files: [], secretFiles: [] }
}

function connect(options: Parameters<typeof credential>[0] = {}, timeout = 30_000): ReviewClient {
  client = createReviewClient({
    credential: credential({ pair: certificates.gatehouse, ...options }),
    timeout,
    idleTimeout: 60_000,
  })
  return client
}

/** undici frees a connection shortly after the body of the response has ended. */
const connectionsAreIdle = (): Promise<void> => sleep(50)

async function failure(request: Promise<unknown>): Promise<ReviewError> {
  const error = await request.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof ReviewError)) throw new Error(`not a ReviewError: ${String(error)}`)
  return error
}

describe('a review', () => {
  test.for([
    { kind: 'TokenReview', path: '/apis/authentication.k8s.io/v1/tokenreviews' },
    { kind: 'SelfSubjectReview', path: '/apis/authentication.k8s.io/v1/selfsubjectreviews' },
    { kind: 'SubjectAccessReview', path: '/apis/authorization.k8s.io/v1/subjectaccessreviews' },
  ] as const)('of kind $kind is posted to $path', async ({ kind, path }) => {
    const spec = { extra: 'Ünïcode' }
    const response = await connect().post({ kind, spec, as: 'gatehouse' })
    expect(response).toEqual({ status: 201, body: { ok: true } })
    const apiVersion = path.split('/').slice(2, 4).join('/')
    expect(received).toMatchObject([
      { method: 'POST', path, body: { apiVersion, kind, spec }, certificate: 'gatehouse' },
    ])
    expect(received[0]?.headers).toMatchObject({
      host: new URL(url).host,
      'content-type': 'application/json',
    })
  })

  test('as Gatehouse carries its token and no identity of a user', async () => {
    await connect({ token: 'secret' }).post(SELF)
    const { headers } = received[0] ?? {}
    expect(headers).toMatchObject({ authorization: 'Bearer secret' })
    expect(Object.keys(headers ?? {}).filter((name) => name.startsWith('imp'))).toEqual([])
  })

  test('as a user carries the token and the identity headers, repeated ones as well', async () => {
    const identityHeaders = ['impersonate-user', 'ada', 'x-groups', 'a', 'x-groups', 'b']
    await connect({ token: 'secret' }).post({ kind: 'SelfSubjectReview', as: { identityHeaders } })
    expect(received[0]?.headers).toMatchObject({
      authorization: 'Bearer secret',
      'impersonate-user': 'ada',
      'x-groups': 'a, b',
    })
  })

  test('as an anonymous client carries no token and no client certificate, whichever came before', async () => {
    const client = connect({ token: 'secret' })
    for (const request of [SELF, ANONYMOUS, SELF, ANONYMOUS]) {
      await client.post(request)
      await connectionsAreIdle()
    }
    const seen = received.map(({ certificate, headers, connection }) => [
      certificate,
      headers.authorization,
      connection,
    ])
    expect(seen).toEqual([
      ['gatehouse', 'Bearer secret', 1],
      [undefined, undefined, 2],
      ['gatehouse', 'Bearer secret', 1],
      [undefined, undefined, 2],
    ])
  })
})

describe('connections', () => {
  test('are reused by the next call', async () => {
    const client = connect()
    await client.post(SELF)
    await connectionsAreIdle()
    await client.post(SELF)
    expect(received.map(({ connection }) => connection)).toEqual([1, 1])
  })

  test('that the API server closes as they are reused are replaced, once', async () => {
    const client = connect()
    await client.post(SELF)
    await connectionsAreIdle()
    respond = (response, request) => {
      if (received.length === 2) request.socket.destroy()
      else respondJson(response)
    }
    expect(await client.post(SELF)).toMatchObject({ status: 201 })
    expect(received.map(({ connection }) => connection)).toEqual([1, 1, 2])
    await connectionsAreIdle()
    respond = (_response, request) => request.socket.destroy()
    expect(await failure(client.post(SELF))).toMatchObject({ kind: 'connection' })
    expect(received).toHaveLength(5)
  })

  test('with an earlier credential carry no further call', async () => {
    const client = connect({ token: 'earlier' })
    await client.post(SELF)
    const pair = await certificates.clientAuthority.issue({
      commonName: 'renewed',
      usages: ['client'],
    })
    client.updateCredential(credential({ token: 'current', pair }))
    await client.post(SELF)
    const seen = received.map(({ certificate, headers, connection }) => [
      certificate,
      headers.authorization,
      connection,
    ])
    expect(seen).toEqual([
      ['gatehouse', 'Bearer earlier', 1],
      ['renewed', 'Bearer current', 2],
    ])
  })

  test('with an earlier credential stay open until their calls have ended', async () => {
    const client = connect()
    let pending: ServerResponse | undefined
    respond = (response) => (pending = response)
    const slow = client.post(SELF)
    await expect.poll(() => pending !== undefined).toBe(true)
    client.updateCredential(credential({ pair: certificates.gatehouse }))
    if (pending !== undefined) respondJson(pending)
    expect(await slow).toMatchObject({ status: 201 })
  })

  test('of a closed client carry no further call', async () => {
    const client = connect()
    await client.post(SELF)
    await client.close()
    expect(await failure(client.post(SELF))).toMatchObject({ kind: 'connection' })
    expect(received).toHaveLength(1)
  })
})

describe('a response', () => {
  test.for([401, 403, 422, 500])('with status %i is returned with its object', async (status) => {
    respond = (response) => respondJson(response, status, { kind: 'Status', message: 'no' })
    expect(await connect().post(SELF)).toEqual({ status, body: { kind: 'Status', message: 'no' } })
  })

  test('with status 401 and another body than a JSON object is returned without it', async () => {
    respond = (response) => void response.writeHead(401).end('<html>')
    expect(await connect().post(SELF)).toEqual({ status: 401, body: {} })
  })

  test('that redirects is returned and not followed', async () => {
    respond = (response) => void response.writeHead(307, { location: '/elsewhere' }).end()
    expect(await connect().post(SELF)).toEqual({ status: 307, body: {} })
    expect(received).toHaveLength(1)
  })

  test.for([
    { name: 'that is not JSON', body: '<html>' },
    { name: 'that is empty', body: '' },
    { name: 'that is a JSON array', body: '[]' },
    { name: 'that is JSON null', body: 'null' },
    { name: 'that is not UTF-8', body: Buffer.from('{"a":"\xff"}', 'latin1') },
  ])('with status 201 $name is an error', async ({ body }) => {
    respond = (response) => void response.writeHead(201).end(body)
    expect(await failure(connect().post(SELF))).toMatchObject({
      kind: 'response',
      message: 'the response (status 201) is not a JSON object',
    })
  })

  test.for([
    { name: 'with a length', chunked: false },
    { name: 'in chunks', chunked: true },
  ])('$name that is too large is an error, and its connection closes', async ({ chunked }) => {
    const body = JSON.stringify({ filler: 'x'.repeat(65_536) })
    respond = (response) => {
      if (!chunked) response.setHeader('content-length', body.length)
      response.writeHead(201)
      response.write(body.slice(0, 40_000))
      response.end(body.slice(40_000))
    }
    const client = connect()
    expect(await failure(client.post(SELF))).toMatchObject({
      kind: 'response',
      message: 'the response is larger than 65536 bytes',
    })
    respond = (response) => respondJson(response)
    await client.post(SELF)
    expect(received.map(({ connection }) => connection)).toEqual([1, 2])
  })
})

describe('a call ends at its timeout', () => {
  const TIMEOUT_MS = 300
  const error = { kind: 'timeout', message: `no response within ${TIMEOUT_MS} ms` }

  test('when the API server does not respond', async () => {
    respond = () => undefined
    expect(await failure(connect({}, TIMEOUT_MS).post(SELF))).toMatchObject(error)
  })

  test('when the API server stops within the body', async () => {
    respond = (response) => void response.writeHead(201).write('{')
    expect(await failure(connect({}, TIMEOUT_MS).post(SELF))).toMatchObject(error)
  })

  test('when the TLS handshake does not complete', async () => {
    const silent = createTcpServer()
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const at = `https://127.0.0.1:${(silent.address() as AddressInfo).port}`
    expect(await failure(connect({ at }, TIMEOUT_MS).post(SELF))).toMatchObject(error)
    silent.close()
  })
})

describe('an API server', () => {
  test('whose certificate is signed by another CA gets no request', async () => {
    const { certificatePem } = await createAuthority({ commonName: 'another' })
    const error = await failure(connect({ ca: certificatePem }).post(SELF))
    expect(error.kind).toBe('connection')
    expect(error.code).toMatch(/^(UNABLE_TO|SELF_SIGNED|CERT_)/)
    expect(received).toEqual([])
  })

  test('whose certificate is for another name gets no request', async () => {
    const at = `https://localhost:${new URL(url).port}`
    expect(await failure(connect({ at }).post(ANONYMOUS))).toMatchObject({
      kind: 'connection',
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    })
    expect(received).toEqual([])
  })

  test('that does not listen is an error, logged without a stack trace', async () => {
    const { port } = new URL(url)
    server.close()
    await once(server, 'close')
    const error = await failure(connect({ at: `https://127.0.0.1:${port}` }).post(SELF))
    expect(error).toMatchObject({ kind: 'connection', code: 'ECONNREFUSED' })
    const { log, lines } = memoryLog()
    log.warn({ err: error }, 'x')
    expect(JSON.stringify(lines)).not.toContain('stack')
  })
})
