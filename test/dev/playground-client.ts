import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, type IncomingHttpHeaders } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text as streamText } from 'node:stream/consumers'
import { Agent, request, type Dispatcher } from 'undici'
import { readKeyPair } from '../../certs-dev/files.ts'
import { writeDevelopmentCertificates } from '../../certs-dev/generate.ts'
import { loadAuthority, type KeyPair } from '../../certs-dev/pki.ts'
import { startPlayground } from '../../dev/playground/server.ts'

/** A response, read to its end. */
export interface PlaygroundResponse {
  readonly code: number
  readonly text: string
  /** Parses the body. Throws when it is not JSON. */
  readonly json: () => Record<string, unknown>
}

export interface Call {
  readonly method?: Dispatcher.HttpMethod
  /** Header names and values, alternating. */
  readonly headers?: readonly string[]
  readonly body?: string | Buffer
  readonly dispatcher?: Dispatcher
}

/** The headers with which Gatehouse impersonates grace. */
export const asGrace = ['impersonate-user', 'grace', 'impersonate-group', 'developers']

export const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'
export const PODS = '/api/v1/namespaces/default/pods'

/** A ConfigMap to be created in the namespace `default`. */
export function configMap(name: string, data: object = { a: '1' }): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data }
}

/** A playground and its clients. */
export interface PlaygroundUnderTest {
  readonly url: string
  /** Gatehouse's own, for TLS. */
  readonly credentials: { readonly ca: Buffer; readonly cert: string; readonly key: string }
  /** With Gatehouse's certificate. */
  readonly gatehouse: Dispatcher
  /** Without any certificate. */
  readonly withoutCertificate: Dispatcher
  /** With a certificate of a Gatehouse user, whose authority the playground does not know. */
  readonly user: Dispatcher
  /** With a certificate of the right authority and another common name. */
  readonly anotherClient: Dispatcher
  /** Sends a request over HTTP/1.1, as grace unless other headers are given. */
  call(path: string, call?: Call): Promise<PlaygroundResponse>
  /** Sends a POST with an object in JSON as grace. */
  create(path: string, object: object): Promise<PlaygroundResponse>
  /** Sends a POST with Gatehouse's certificate and exactly these headers over HTTP/2. */
  postHttp2(path: string, headers: readonly string[], body: string): Promise<PlaygroundResponse>
  close(): Promise<void>
}

/** Starts a playground on free ports of loopback. */
export async function playgroundUnderTest(): Promise<PlaygroundUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-playground-'))
  const certificates = await writeDevelopmentCertificates(folder)
  const { serving, upstream, upstreamCA, client } = certificates
  const playground = await startPlayground({
    serving,
    clientCAFile: upstreamCA.certFile,
    proxy: 'gatehouse',
  })
  const ca = await readFile(certificates.ca.certFile)
  const authority = await loadAuthority(await readKeyPair(upstreamCA))
  const other = await authority.issue({ commonName: 'another-client', usages: ['client'] })
  const agents: Agent[] = []
  const agent = (pair?: KeyPair): Agent => {
    const identity = pair === undefined ? {} : { cert: pair.certificatePem, key: pair.keyPem }
    const made = new Agent({ allowH2: false, connect: { ca, ...identity } })
    agents.push(made)
    return made
  }
  const own = await readKeyPair(upstream)
  const credentials = { ca, cert: own.certificatePem, key: own.keyPem }
  const gatehouse = agent(own)
  const send = async (path: string, call: Call = {}): Promise<PlaygroundResponse> => {
    const { statusCode, body } = await request(playground.url + path, {
      method: call.method ?? 'GET',
      headers: [...(call.headers ?? asGrace)],
      dispatcher: call.dispatcher ?? gatehouse,
      ...(call.body === undefined ? {} : { body: call.body }),
    })
    return responseOf(statusCode, await body.text())
  }
  return {
    url: playground.url,
    credentials,
    gatehouse,
    withoutCertificate: agent(),
    user: agent(await readKeyPair(client)),
    anotherClient: agent(other),
    call: send,
    create: (path, object) =>
      send(path, {
        method: 'POST',
        headers: [...asGrace, 'content-type', 'application/json'],
        body: JSON.stringify(object),
      }),
    postHttp2: async (path, headers, body) => {
      const session = connect(playground.url, credentials)
      try {
        const stream = session.request([':method', 'POST', ':path', path, ...headers])
        stream.end(body)
        const [head] = (await once(stream, 'response')) as [IncomingHttpHeaders]
        return responseOf(Number(head[':status']), await streamText(stream))
      } finally {
        session.destroy()
      }
    },
    close: async () => {
      await Promise.all(agents.map((made) => made.destroy()))
      await playground.close()
      await rm(folder, { recursive: true })
    },
  }
}

function responseOf(code: number, text: string): PlaygroundResponse {
  return { code, text, json: () => JSON.parse(text) as Record<string, unknown> }
}
