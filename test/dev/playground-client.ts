import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, type IncomingHttpHeaders } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text as streamText } from 'node:stream/consumers'
import { Agent, request, type Dispatcher } from 'undici'
import { writeDevelopmentCertificates, type CertificateFiles } from '../../certs-dev/generate.ts'
import { loadAuthority } from '../../certs-dev/pki.ts'
import { startPlayground } from '../../dev/playground/server.ts'

/** An answer, read to its end. */
export interface Answer {
  readonly code: number
  readonly text: string
  /** Of JSON; throws for anything else. */
  readonly json: () => Record<string, unknown>
}

export interface Call {
  readonly method?: Dispatcher.HttpMethod
  /** Header names and values, in turn. */
  readonly headers?: readonly string[]
  readonly body?: string | Buffer
  readonly dispatcher?: Dispatcher
}

/** The headers by which Gatehouse asks on behalf of grace. */
export const asGrace = ['impersonate-user', 'grace', 'impersonate-group', 'developers']

/** A playground and clients of it. */
export interface PlaygroundUnderTest {
  readonly url: string
  /** Gatehouse's, for TLS. */
  readonly credentials: { readonly ca: Buffer; readonly cert: string; readonly key: string }
  /** With Gatehouse's certificate. */
  readonly gatehouse: Dispatcher
  /** Without any certificate. */
  readonly nobody: Dispatcher
  /** With a certificate of a user of Gatehouse, whose authority the playground does not know. */
  readonly user: Dispatcher
  /** With a certificate of the right authority for somebody else. */
  readonly somebodyElse: Dispatcher
  /** As grace, unless headers are given; over HTTP/1.1. */
  call(path: string, call?: Call): Promise<Answer>
  /** A POST with Gatehouse's certificate over HTTP/2, its headers as they are. */
  postHttp2(path: string, headers: readonly string[], body: string): Promise<Answer>
  close(): Promise<void>
}

/** Starts one. */
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
  const pem = async ({ certFile, keyFile }: CertificateFiles) => ({
    certificatePem: await readFile(certFile, 'utf8'),
    keyPem: await readFile(keyFile, 'utf8'),
  })
  const authority = await loadAuthority(await pem(upstreamCA))
  const other = await authority.issue({ commonName: 'somebody-else', usages: ['client'] })
  const agents: Agent[] = []
  const agent = (pair?: { certificatePem: string; keyPem: string }): Agent => {
    const identity = pair === undefined ? {} : { cert: pair.certificatePem, key: pair.keyPem }
    const made = new Agent({ allowH2: false, connect: { ca, ...identity } })
    agents.push(made)
    return made
  }
  const own = await pem(upstream)
  const credentials = { ca, cert: own.certificatePem, key: own.keyPem }
  const gatehouse = agent(own)
  return {
    url: playground.url,
    credentials,
    gatehouse,
    nobody: agent(),
    user: agent(await pem(client)),
    somebodyElse: agent(other),
    call: async (path, call = {}) => {
      const { statusCode, body } = await request(playground.url + path, {
        method: call.method ?? 'GET',
        headers: [...(call.headers ?? asGrace)],
        dispatcher: call.dispatcher ?? gatehouse,
        ...(call.body === undefined ? {} : { body: call.body }),
      })
      return answerOf(statusCode, await body.text())
    },
    postHttp2: async (path, headers, body) => {
      const session = connect(playground.url, credentials)
      try {
        const stream = session.request([':method', 'POST', ':path', path, ...headers])
        stream.end(body)
        const [head] = (await once(stream, 'response')) as [IncomingHttpHeaders]
        return answerOf(Number(head[':status']), await streamText(stream))
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

function answerOf(code: number, text: string): Answer {
  return { code, text, json: () => JSON.parse(text) as Record<string, unknown> }
}
