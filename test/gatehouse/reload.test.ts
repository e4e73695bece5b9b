import { readFile } from 'node:fs/promises'
import { once } from 'node:events'
import { connect } from 'node:tls'

import { afterEach, beforeEach, expect, test } from 'vitest'
import { stringify } from 'yaml'

import { createAuthority, type KeyPair } from '../../certs-dev/pki.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { createClient } from '../support/client.ts'
import {
  ALLOW_ALL,
  startTestGatehouse,
  upstreamOf,
  type TestGatehouse,
} from '../support/gatehouse.ts'
import { openWatch, replaceAndReload } from '../support/reloading.ts'

let api: ApiServer
let gatehouse: TestGatehouse

beforeEach(async () => {
  api = await startApiServer()
  gatehouse = await startTestGatehouse({ upstream: upstreamOf(api) })
})

afterEach(async () => {
  await gatehouse.close()
  await api.close()
})

const target = () => ({ url: gatehouse.url, ca: gatehouse.ca })

const replace = (name: string, text: string) => replaceAndReload(gatehouse, name, text)

const ask = async (path: string) => {
  const client = createClient({ ...target(), token: await gatehouse.token() })
  const { status } = await client.ask(path)
  await client.close()
  return status
}

async function asUser(certificate: KeyPair): Promise<number> {
  const client = createClient({ ...target(), certificate })
  const { status } = await client.ask('/api/v1/pods')
  await client.close()
  return status
}

const denyPods = {
  ...ALLOW_ALL,
  rules: [
    ...ALLOW_ALL.rules,
    {
      name: 'no-pods',
      effect: 'deny',
      verbs: ['*'],
      resources: [{ apiGroups: [''], resources: ['pods'] }],
    },
  ],
}

test('new rules are in effect at once; a stream that they forbid ends, another goes on', async () => {
  const forbidden = await openWatch({ gatehouse, api }, '/api/v1/pods?watch=true')
  const allowed = await openWatch({ gatehouse, api }, '/api/v1/nodes?watch=true')
  const ended = once(forbidden, 'end')
  await replace('rules.yaml', stringify(denyPods))
  expect(await ask('/api/v1/pods')).toBe(403)
  await ended
  expect(allowed.destroyed).toBe(false)
  allowed.destroy()
})

test.for([
  ['application/vnd.kubernetes.protobuf;stream=watch', '000000020a', '000000020a01'],
  ['application/cbor-seq', 'a1616141', 'a161614101'],
] as const)(
  'a watch in %s that new rules forbid ends properly between two events, and only there',
  async ([contentType, half, whole]) => {
    const watches = [
      await openWatch(
        { gatehouse, api },
        '/api/v1/pods?watch=true',
        contentType,
        Buffer.from(half, 'hex'),
      ),
      await openWatch(
        { gatehouse, api },
        '/api/v1/pods?watch=true',
        contentType,
        Buffer.from(whole, 'hex'),
      ),
    ]
    const ends = watches.map(async (watch) => {
      watch.on('error', () => undefined)
      await new Promise((resolve) => watch.once('close', resolve))
      return watch.complete
    })
    await replace('rules.yaml', stringify(denyPods))
    expect(await Promise.all(ends)).toEqual([false, true])
  },
)

test('rules with a mistake change nothing, and readiness, log and metric say so', async () => {
  await replace('rules.yaml', stringify(denyPods).replace('effect: deny', 'efect: deny'))
  expect(await ask('/api/v1/pods')).toBe(200)
  const readiness = await fetch(`${gatehouse.probesUrl}/readyz?verbose`)
  expect(readiness.status).toBe(200)
  expect(await readiness.text()).toContain('[+]configuration ok (reload of rules failed: ')
  expect(gatehouse.log.some((line) => line.includes('the last good version stays in effect'))).toBe(
    true,
  )
  const metric = await gatehouse.gatehouse.metrics.reloads.get()
  expect(metric.values).toContainEqual(
    expect.objectContaining({ labels: { what: 'rules', result: 'failed' }, value: 1 }),
  )
  await replace('rules.yaml', stringify(denyPods))
  expect(await ask('/api/v1/pods')).toBe(403)
})

test('a new client CA takes its users in and the old ones out; their idle connections end', async () => {
  const certificate = await gatehouse.certificate()
  const before = await asUser(certificate)
  const idle = connect({
    host: '127.0.0.1',
    port: gatehouse.port,
    ca: gatehouse.ca,
    cert: certificate.certificatePem,
    key: certificate.keyPem,
  })
  await once(idle, 'secureConnect')
  idle.resume()
  const ended = once(idle, 'end')
  const next = await createAuthority({ commonName: 'next' })
  await replace('client-ca.crt', next.certificatePem)
  await ended
  const after = await asUser(certificate)
  const newcomer = await asUser(await next.issue({ commonName: 'grace', usages: ['client'] }))
  expect({ before, after, newcomer }).toEqual({ before: 200, after: 401, newcomer: 200 })
})

test('new handshakes see a new serving certificate; a pair that does not match keeps the old', async () => {
  const fingerprint = async () => {
    const socket = connect({ host: '127.0.0.1', port: gatehouse.port, ca: gatehouse.ca })
    await once(socket, 'secureConnect')
    const { fingerprint256 } = socket.getPeerCertificate()
    socket.destroy()
    return fingerprint256
  }
  const before = await fingerprint()
  const next = await gatehouse.servingAuthority.issue({
    commonName: 'gatehouse',
    ipAddresses: ['127.0.0.1'],
    usages: ['server'],
  })
  await replace('serving.crt', next.certificatePem)
  expect(await fingerprint()).toBe(before)
  await replace('serving.key', next.keyPem)
  expect(await fingerprint()).not.toBe(before)
})

test('an issuer taken out of the authentication configuration signs nobody in any more', async () => {
  expect(await ask('/api/v1/pods')).toBe(200)
  const text = await readFile(gatehouse.file('authentication.yaml'), 'utf8')
  await replace('authentication.yaml', text.replace('- kubernetes', '- another-audience'))
  expect(await ask('/api/v1/pods')).toBe(401)
})

test("Gatehouse's own credential is replaced without a restart", async () => {
  expect(await ask('/api/v1/pods')).toBe(200)
  const renewed = await api.clientAuthority.issue({ commonName: 'gatehouse-2', usages: ['client'] })
  const text = await readFile(gatehouse.file('upstream.kubeconfig'), 'utf8')
  const encode = (pem: string): string => Buffer.from(pem).toString('base64')
  const { certificatePem, keyPem } = api.gatehouse
  const opened = api.connections.total
  await replace(
    'upstream.kubeconfig',
    text
      .replace(encode(certificatePem), encode(renewed.certificatePem))
      .replace(encode(keyPem), encode(renewed.keyPem)),
  )
  // It is tried first.
  const reloaded = () => gatehouse.log.filter((line) => line.includes('"reloaded"'))
  await expect.poll(reloaded).toHaveLength(1)
  expect(await ask('/api/v1/pods')).toBe(200)
  expect(api.connections.total).toBeGreaterThan(opened)
})

test('rules cut off between two rules stay out of effect at first, and are warned of', async () => {
  await replace('rules.yaml', stringify(denyPods))
  expect(await ask('/api/v1/pods')).toBe(403)
  const whole = stringify(denyPods)
  const cut = whole.slice(0, whole.indexOf('  - name: no-pods'))
  await replace('rules.yaml', cut)
  expect(await ask('/api/v1/pods')).toBe(403)
  const lines = gatehouse.log.filter((line) => line.includes('looks cut off'))
  expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
    expect.objectContaining({
      level: 'warn',
      what: 'rules',
      file: gatehouse.file('rules.yaml'),
      msg: 'a changed file looks cut off; it is loaded in 30 s',
    }),
  ])
  const readiness = async (): Promise<string> =>
    (await fetch(`${gatehouse.probesUrl}/readyz?verbose`)).text()
  const note = `[+]configuration ok (rules not reloaded: ${gatehouse.file('rules.yaml')} looks cut off)`
  expect(await readiness()).toContain(note)
  await replace('rules.yaml', stringify(ALLOW_ALL).replace('everything', 'everything-again'))
  expect(await ask('/api/v1/pods')).toBe(200)
  expect(await readiness()).toContain('[+]configuration ok\n')
})
