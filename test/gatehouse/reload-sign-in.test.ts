/**
 * What becomes of streams and open connections when a reload takes back by what their users signed
 * in: client CA, revocation list, issuer. Expiry is none of it.
 */
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { createAuthority, type Authority, type KeyPair } from '../../certs-dev/pki.ts'
import { createSigningKey, signToken, startIssuer } from '../authentication/oidc/issuer.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { replaceAndReload } from '../support/reloading.ts'

let api: ApiServer
let gatehouse: TestGatehouse

beforeEach(async () => {
  api = await startApiServer()
  api.handler = (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'application/json' })
    if (request.url?.includes('watch') === true) response.write('{"type":"ADDED"}\n')
    else response.end('{}')
  }
  api.upgradeHandler = (_request, socket) => {
    socket.on('error', () => undefined)
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n' +
        'X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n',
    )
    socket.write('hello')
  }
  gatehouse = await startTestGatehouse({ upstream: upstreamOf(api) })
})

afterEach(async () => {
  await gatehouse.close()
  await api.close()
})

const replace = (name: string, text: string) => replaceAndReload(gatehouse, name, text)

async function changeIssuers(change: (yaml: string) => string): Promise<void> {
  await replace(
    'authentication.yaml',
    change(await readFile(gatehouse.file('authentication.yaml'), 'utf8')),
  )
}

type Credential = { readonly certificate: KeyPair } | { readonly token: string }

function optionsOf(credential: Credential) {
  return {
    ca: gatehouse.ca,
    agent: false as const,
    ...('certificate' in credential
      ? { cert: credential.certificate.certificatePem, key: credential.certificate.keyPem }
      : { headers: { authorization: `Bearer ${credential.token}` } }),
  }
}

interface Stream {
  readonly ended: Promise<unknown>
  readonly isOpen: () => boolean
  readonly destroy: () => void
}

async function openWatch(credential: Credential): Promise<Stream> {
  const request = httpsRequest(
    `${gatehouse.url}/api/v1/pods?watch=true`,
    optionsOf(credential),
  ).end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  expect(response.statusCode).toBe(200)
  await once(response, 'data')
  response.resume()
  return {
    ended: once(response, 'end'),
    isOpen: () => !response.readableEnded && !response.destroyed,
    destroy: () => response.destroy(),
  }
}

async function openExec(credential: Credential): Promise<Stream> {
  const { headers, ...rest } = { headers: {}, ...optionsOf(credential) }
  const request = httpsRequest(`${gatehouse.url}/api/v1/namespaces/d/pods/p/exec?command=sh`, {
    ...rest,
    method: 'POST',
    headers: {
      ...headers,
      connection: 'Upgrade',
      upgrade: 'SPDY/3.1',
      'x-stream-protocol-version': 'v4.channel.k8s.io',
    },
  }).end()
  const [, socket] = (await once(request, 'upgrade')) as [IncomingMessage, Duplex]
  socket.on('error', () => undefined).resume()
  return {
    ended: once(socket, 'close'),
    isOpen: () => !socket.destroyed,
    destroy: () => socket.destroy(),
  }
}

/** The causes of the streams that Gatehouse has ended. */
async function causes(count: number): Promise<(string | undefined)[]> {
  const ends = await gatehouse.eventsWhere(
    ({ stage, annotations }) =>
      stage === 'ResponseComplete' && annotations['gatehouse/abortedBy'] === 'gatehouse',
    count,
  )
  return ends.map(({ annotations }) => annotations['gatehouse/cause'])
}

const NOT_ACCEPTED = 'the credential is no longer accepted: '

describe('a client CA that is taken away', () => {
  test('ends the watch and the exec of its users, and nobody else’s', async () => {
    const next = await createAuthority({ commonName: 'next' })
    const both = gatehouse.clientAuthority.certificatePem + next.certificatePem
    await replace('client-ca.crt', both)
    const ada = { certificate: await gatehouse.certificate() }
    const grace = { certificate: await next.issue({ commonName: 'grace', usages: ['client'] }) }
    const old = [await openWatch(ada), await openExec(ada)]
    const others = [
      await openWatch(grace),
      await openExec(grace),
      await openWatch({ token: await gatehouse.token() }),
    ]
    await replace('client-ca.crt', next.certificatePem)
    await Promise.all(old.map(({ ended }) => ended))
    const why = `${NOT_ACCEPTED}the certificate no longer chains to a client CA`
    expect(await causes(2)).toEqual([why, why])
    expect(others.map(({ isOpen }) => isOpen())).toEqual([true, true, true])
    for (const { destroy } of others) destroy()
  })

  test('while one is added, or the order changes, ends nothing', async () => {
    const next = await createAuthority({ commonName: 'next' })
    const watch = await openWatch({ certificate: await gatehouse.certificate() })
    const both = next.certificatePem + gatehouse.clientAuthority.certificatePem
    await replace('client-ca.crt', both)
    await replace('client-ca.crt', gatehouse.clientAuthority.certificatePem)
    expect(watch.isOpen()).toBe(true)
    expect(gatehouse.log.join('')).not.toContain('ended streams')
    watch.destroy()
  })

  test('refuses a request that the API server has not answered yet', async () => {
    const arrived = new Promise<void>((resolve) => {
      api.handler = () => resolve()
    })
    const certificate = await gatehouse.certificate()
    const request = httpsRequest(
      `${gatehouse.url}/api/v1/pods?watch=true`,
      optionsOf({ certificate }),
    ).end()
    const answered = once(request, 'response') as Promise<[IncomingMessage]>
    await arrived
    await replace('client-ca.crt', (await createAuthority({ commonName: 'x' })).certificatePem)
    const [response] = await answered
    expect(response.resume().statusCode).toBe(401)
    const [event] = await gatehouse.eventsWhere(
      ({ responseStatus }) => responseStatus?.code === 401,
    )
    expect(event?.annotations['gatehouse/cause']).toContain('no longer chains to a client CA')
  })
})

describe('a revocation list', () => {
  let folder: string
  let authority: Authority

  const issue = async (commonName: string): Promise<KeyPair> =>
    authority.issue({ commonName, usages: ['client'] })
  const put = (text: string): Promise<void> => writeFile(join(folder, 'ca.crl'), text)

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-crl-'))
    authority = await createAuthority({ commonName: 'revoking' })
    await writeFile(join(folder, 'ca.crt'), authority.certificatePem)
    await put(await authority.revoke([]))
    const x509 = { clientCAFile: join(folder, 'ca.crt'), crlFile: join(folder, 'ca.crl') }
    await gatehouse.close()
    gatehouse = await startTestGatehouse({
      upstream: upstreamOf(api),
      configuration: { authentication: { x509 } },
    })
    return () => rm(folder, { recursive: true })
  })

  test('that names a certificate ends its streams, and not those of another', async () => {
    const [ada, grace] = [await issue('ada'), await issue('grace')]
    const forAda = await openWatch({ certificate: ada })
    const forGrace = await openWatch({ certificate: grace })
    await put(await authority.revoke([ada.certificatePem]))
    gatehouse.gatehouse.reload()
    await forAda.ended
    expect(await causes(1)).toEqual([
      `${NOT_ACCEPTED}the certificate, or a CA above it, is revoked`,
    ])
    expect(forGrace.isOpen()).toBe(true)
    forGrace.destroy()
  })
})

describe('an authentication configuration', () => {
  test('without the issuer’s audience ends its users’ streams, and not those by certificate', async () => {
    const token = await gatehouse.token()
    const ended = [await openWatch({ token }), await openExec({ token })]
    const byCertificate = await openWatch({ certificate: await gatehouse.certificate() })
    await changeIssuers((yaml) => yaml.replace('- kubernetes', '- another-audience'))
    await Promise.all(ended.map((stream) => stream.ended))
    for (const cause of await causes(2)) expect(cause).toContain(`${NOT_ACCEPTED}the token is for`)
    expect(byCertificate.isOpen()).toBe(true)
    byCertificate.destroy()
  })

  test('that still has it ends nothing, though the token has expired meanwhile', async () => {
    const token = await gatehouse.token({ exp: Math.floor(Date.now() / 1_000) + 2 })
    const watch = await openWatch({ token })
    await expect.poll(() => statusOf(token)).toBe(401)
    const policy = 'audienceMatchPolicy: MatchAny\n      audiences:\n        - other'
    await changeIssuers((yaml) => yaml.replace('audiences:', policy))
    const { values } = await gatehouse.gatehouse.metrics.reloads.get()
    expect(values).toContainEqual(
      expect.objectContaining({ labels: { what: 'authentication configuration', result: 'ok' } }),
    )
    expect(watch.isOpen()).toBe(true)
    watch.destroy()
  })

  test('is in effect for the next request on a connection that is kept', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: gatehouse.ca })
    const token = await gatehouse.token()
    const ports = new Set<number | undefined>()
    const ask = async (): Promise<number | undefined> => {
      const request = httpsRequest(`${gatehouse.url}/api/v1/pods`, {
        agent,
        headers: { authorization: `Bearer ${token}` },
      }).end()
      const [response] = (await once(request, 'response')) as [IncomingMessage]
      ports.add(response.socket.localPort)
      await once(response.resume(), 'end')
      return response.statusCode
    }
    const before = await ask()
    await changeIssuers((yaml) => yaml.replace('- kubernetes', '- another-audience'))
    expect([before, await ask()]).toEqual([200, 401])
    expect(ports.size).toBe(1)
    agent.destroy()
  })
})

test('an issuer that is added and out of reach fails nobody’s readiness; it is a note', async () => {
  const gone = await startIssuer([])
  await gone.close()
  const added = [
    '  - issuer:',
    `      url: ${gone.url}`,
    '      audiences: [kubernetes]',
    '    claimMappings:',
    '      username: { claim: sub, prefix: "gone:" }',
  ].join('\n')
  await changeIssuers((yaml) => `${yaml.trimEnd()}\n${added}\n`)
  const readyz = async () => {
    const answer = await fetch(`${gatehouse.probesUrl}/readyz?verbose`)
    return `${answer.status} ${await answer.text()}`
  }
  expect(await readyz()).toMatch(/^200 /)
  await expect.poll(readyz).toContain(`[+]jwks ${gone.url} ok (connect ECONNREFUSED`)
  expect(await readyz()).toMatch(/^200 /)
  expect(await statusOf(await gatehouse.token())).toBe(200)
})

test('a key that its issuer takes back ends the streams of tokens signed with it', async () => {
  const watch = await openWatch({ token: await gatehouse.token() })
  const next = await createSigningKey('second')
  gatehouse.issuer.keys = [next.publicJwk]
  expect(await statusOf(await signToken(gatehouse.issuer, next))).toBe(200)
  await watch.ended
  expect(await causes(1)).toEqual([expect.stringContaining("no longer known as its issuer's")])
})

async function statusOf(token: string): Promise<number | undefined> {
  const request = httpsRequest(`${gatehouse.url}/api/v1/pods`, optionsOf({ token })).end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.resume()
  return response.statusCode
}

test('a new prefix of an issuer ends the streams of certificates whose name begins with it', async () => {
  const robot = { certificate: await gatehouse.certificate({ commonName: 'robot:ci' }) }
  const ada = { certificate: await gatehouse.certificate() }
  const taken = await openWatch(robot)
  const other = await openWatch(ada)
  await changeIssuers((yaml) => yaml.replaceAll(/prefix: "?oidc:"?/g, 'prefix: "robot:"'))
  await taken.ended
  expect(await causes(1)).toEqual([
    expect.stringContaining(`${NOT_ACCEPTED}user name "robot:ci" begins with the prefix`),
  ])
  expect(other.isOpen()).toBe(true)
  other.destroy()
})

test('an issuer whose prefix is not its own does not come into effect', async () => {
  await changeIssuers((yaml) => yaml.replaceAll(/prefix: "?oidc:"?/g, 'prefix: ""'))
  expect(gatehouse.log.join('')).toContain('may be those of client certificates')
  const watch = await openWatch({ token: await gatehouse.token() })
  watch.destroy()
})
