/**
 * No TLS session is resumed, at any server name: a session without a certificate would be one at the name where
 * certificates are requested, and a certificate would come to the pages, which must not see one.
 */
import { once } from 'node:events'
import { connect, type SecureVersion } from 'node:tls'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { createAuthority, type Authority, type KeyPair } from '../../certs-dev/pki.ts'
import { buildListenerTls } from '../../src/listener/tls.ts'
import { startBareListener, type BareListener } from '../support/bare-listener.ts'

const [API, OTHER_API, PAGES] = ['api.example', 'other.example', 'pages.example'] as const
const names = [API, OTHER_API, PAGES]

let bare: BareListener
let authority: Authority
let ada: KeyPair
/** Of each request, whether it came with a certificate. */
const requests: boolean[] = []

beforeAll(async () => {
  authority = await createAuthority({ commonName: 'ca' })
  ada = await authority.issue({ commonName: 'ada', usages: ['client'] })
  const pair = async (dnsNames: string[]) => {
    const issued = await authority.issue({ commonName: 'x', dnsNames, usages: ['server'] })
    return { certificate: issued.certificatePem, privateKey: issued.keyPem, names: [] }
  }
  const tls = buildListenerTls({
    minVersion: 'VersionTLS12',
    cipherSuites: [],
    // One context has two names, of which one is that of the pages.
    serving: await pair([API, PAGES]),
    sni: [await pair([OTHER_API])],
    clientTrust: { ca: authority.certificatePem, crl: undefined },
    issuingCA: undefined,
    acceptsSelfSigned: false,
    pagesName: PAGES,
  })
  bare = await startBareListener(
    {
      handle({ request, response }) {
        requests.push(request.connection.peerCertificate !== undefined)
        response.writeHead(200, ['Content-Length', '2'])
        response.end('ok')
      },
      onMalformed: () => undefined,
    },
    {},
    { tls, requestClientCertificate: true },
  )
})
afterAll(() => bare.close())

interface Connected {
  /** What the server has offered for resumption. */
  readonly session: Buffer
  readonly isReused: boolean
  readonly hasCertificate: boolean
}

/** Sends a request, with the user's certificate if the server requests one. */
async function ask(
  servername: string,
  version: SecureVersion,
  earlier?: Buffer,
): Promise<Connected> {
  const socket = connect({
    ...{ host: '127.0.0.1', port: bare.target.port, servername, ca: authority.certificatePem },
    ...{ minVersion: version, maxVersion: version, ALPNProtocols: ['http/1.1'] },
    ...{ cert: ada.certificatePem, key: ada.keyPem },
    ...(earlier === undefined ? {} : { session: earlier }),
  })
  const offered: Buffer[] = []
  socket.on('session', (session: Buffer) => offered.push(session))
  await once(socket, 'secureConnect')
  const isReused = socket.isSessionReused()
  const closed = once(socket, 'close')
  socket.write(`GET / HTTP/1.1\r\nHost: ${servername}\r\nConnection: close\r\n\r\n`)
  socket.resume()
  await closed
  const hasCertificate = requests.pop() ?? expect.fail('there was no request')
  const session = offered[0] ?? expect.fail('the server offered no session')
  return { session, isReused, hasCertificate }
}

const pairs = names.flatMap((from) => names.map((to) => [from, to] as const))
const cases = (['TLSv1.2', 'TLSv1.3'] as const).flatMap((version) =>
  pairs.map(([from, to]) => [version, from, to] as const),
)

test.for(cases)('%s: a session of %s is not resumed at %s', async ([version, from, to]) => {
  const first = await ask(from, version)
  expect(first).toMatchObject({ isReused: false, hasCertificate: from !== PAGES })
  const second = await ask(to, version, first.session)
  expect(second).toMatchObject({ isReused: false, hasCertificate: to !== PAGES })
})
