/** Client CAs whose certificates have names of their own: nobody gets the name of a user of another CA. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { createAuthority, type Authority, type CertificateRequest } from '../../certs-dev/pki.ts'
import { headerValues } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import { createClient } from '../support/client.ts'
import { replaceFile } from '../support/files.ts'

const PODS = '/api/v1/namespaces/d/pods'
const ID = 'spiffe://example.org/ns/web/sa/api'

let directory: string
let attack: Attack
let people: Authority
let machines: Authority
let workloads: Authority

const file = (name: string): string => join(directory, name)

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gatehouse-test-'))
  ;[people, machines, workloads] = (await Promise.all(
    ['people', 'machines', 'workloads'].map((commonName) => createAuthority({ commonName })),
  )) as [Authority, Authority, Authority]
  await Promise.all([
    writeFile(file('people.crt'), people.certificatePem),
    writeFile(file('machines.crt'), machines.certificatePem),
    writeFile(file('workloads.crt'), workloads.certificatePem),
  ])
  attack = await startAttack({
    configuration: {
      authentication: {
        x509: {
          clientCAFile: file('people.crt'),
          authorities: [
            { caFile: file('machines.crt'), usernamePrefix: 'm:', groupPrefix: 'm:' },
            {
              caFile: file('workloads.crt'),
              usernameFrom: 'spiffeID',
              trustDomain: 'example.org',
              groupMappings: [{ usernames: ['spiffe://example.org/ns/web/*'], groups: ['web'] }],
            },
          ],
        },
      },
    },
  })
})

afterAll(async () => {
  await attack.expectNoSecretLeaked()
  await attack.close()
  await rm(directory, { recursive: true, force: true })
})

async function requestWith(issuer: Authority, request: Partial<CertificateRequest>) {
  const certificate = await issuer.issue({ commonName: '', usages: ['client'], ...request })
  const client = createClient({ url: attack.gatehouse.url, ca: attack.gatehouse.ca, certificate })
  const { value, received, events } = await attack.watching(() => client.ask(PODS))
  await client.close()
  return {
    status: value.status,
    message: (JSON.parse(value.body) as { message?: string }).message,
    user: received.map((one) => headerValues(one, 'impersonate-user')).flat(),
    groups: received.map((one) => headerValues(one, 'impersonate-group')).flat(),
    cause: events[0]?.annotations['gatehouse/cause'],
  }
}

test('a certificate and a token for ada are three users with three CAs', async () => {
  const ada = { commonName: 'ada', organizations: ['dev'] }
  expect(await requestWith(people, ada)).toMatchObject({
    ...{ user: ['ada'], groups: ['dev', 'system:authenticated'] },
  })
  expect(await requestWith(machines, ada)).toMatchObject({
    ...{ user: ['m:ada'], groups: ['m:dev', 'system:authenticated'] },
  })
  const { received } = await attack.watching(async () =>
    attack.send(`GET ${PODS} HTTP/1.1\r\nHost: gatehouse\r\n${await attack.bearer()}\r\n`),
  )
  expect(headerValues(received[0]!, 'impersonate-user')).toEqual(['oidc:ada'])
})

test('a SPIFFE ID is the user name, also without a subject, and mappings give its groups', async () => {
  expect(await requestWith(workloads, { uris: [ID], organizations: ['SPIRE'] })).toMatchObject({
    ...{ status: 200, user: [ID], groups: ['web', 'system:authenticated'] },
  })
  const other = { uris: ['spiffe://example.org/ns/db'], dnsNames: ['db'], commonName: 'ada' }
  expect(await requestWith(workloads, other)).toMatchObject({
    ...{ user: other.uris, groups: ['system:authenticated'] },
  })
})

describe('a certificate is refused, and the API server does not see it,', () => {
  test.for([
    ['below workloads with two IDs', () => workloads, { uris: [ID, `${ID}2`] }, 401],
    ['below workloads without an ID', () => workloads, { commonName: 'ada' }, 401],
    ['with an ID of another trust domain', () => workloads, { uris: ['spiffe://a.org/b'] }, 401],
    ['with the ID of a workload as common name', () => people, { commonName: ID }, 403],
    ['with an ID of machines and no common name', () => machines, { uris: [ID] }, 401],
    ['with the name of a machine as common name', () => people, { commonName: 'm:ada' }, 403],
    [
      'with the group of machines as organization',
      () => people,
      { commonName: 'ada', organizations: ['m:dev'] },
      403,
    ],
    ['with the name of a user with a token', () => people, { commonName: 'oidc:ada' }, 403],
    ['with a reserved name', () => people, { commonName: 'system:admin' }, 403],
  ] as const)('%s', async ([, issuer, request, code]) => {
    const { status, user, message = '' } = await requestWith(issuer(), request)
    expect({ status, user }).toEqual({ status: code, user: [] })
    expect(message.split(':', 1)).toEqual([code === 403 ? 'identity rejected' : 'Unauthorized'])
  })
})

test('a token with the name of a machine is refused, also of an issuer that shares names', async () => {
  const sharing = await startAttack({
    issuerOptions: { sharesNames: true },
    configuration: {
      authentication: {
        x509: {
          clientCAFile: file('people.crt'),
          authorities: [{ caFile: file('machines.crt'), usernamePrefix: 'oidc:m:' }],
        },
      },
    },
  })
  const fields = await sharing.bearer({ sub: 'm:ada' })
  const { value, received } = await sharing.watching(() =>
    sharing.send(`GET ${PODS} HTTP/1.1\r\nHost: gatehouse\r\n${fields}\r\n`),
  )
  expect(value.response.status).toBe(403)
  expect(value.response.body).toContain('begins with the prefix of a client CA')
  expect(received).toEqual([])
  await sharing.close()
})

test('a CA that moves to a file with other names ends the streams of its users', async () => {
  const certificate = await people.issue({ commonName: 'grace', usages: ['client'] })
  const client = createClient({ url: attack.gatehouse.url, ca: attack.gatehouse.ca, certificate })
  attack.api.handler = (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'application/json' })
    if (request.url?.includes('watch') !== true) response.end('{}')
    else response.write('{"type":"ADDED"}\n')
  }
  const watch = client.ask(`${PODS}?watch=true`)
  await attack.gatehouse.eventsWhere(
    ({ stage, user }) => stage === 'ResponseStarted' && user.username === 'grace',
  )
  await replaceFile(file('machines.crt'), people.certificatePem)
  await replaceFile(file('people.crt'), machines.certificatePem)
  attack.gatehouse.gatehouse.reload()
  const ended = await attack.gatehouse.eventsWhere(
    ({ stage, user, requestURI }) =>
      stage === 'ResponseComplete' && user.username === 'grace' && requestURI.includes('watch'),
  )
  expect(ended).toHaveLength(1)
  await watch.catch(() => undefined)
  attack.api.handler = undefined
  await expect
    .poll(async () => (await requestWith(people, { commonName: 'grace' })).user)
    .toEqual(['m:grace'])
  await client.close()
})
