/** docs/configuration.md, and what it says is read again. */
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { describe, expect, onTestFinished, test } from 'vitest'
import { parse, stringify } from 'yaml'

import { createAuthority } from '../../certs-dev/pki.ts'
import { configurationReference, reloadedFiles } from '../../dev/configuration-reference.ts'
import { rulesSchema } from '../../src/authorization/rules/schema.ts'
import { valueAt } from '../../src/config/path.ts'
import { configurationSchema } from '../../src/config/schema.ts'
import { ITEM, walkSchema } from '../../src/config/schema-walk.ts'
import { createSigningKey } from '../authentication/oidc/issuer.ts'
import { startApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'

const KNOWN_ISSUER = 'https://known.example'
const DISTANT_ISSUER = 'https://distant.example'
const GOOGLE = 'https://accounts.google.com'
/** Nobody listens there. */
const NOWHERE = 'https://127.0.0.1:1'
const LDAP_ISSUER = 'https://ldap.example'

const page = await readFile(resolve(import.meta.dirname, '../../docs/configuration.md'), 'utf8')

test('the page has every field of both files', () => {
  const missing: string[] = []
  for (const schema of [configurationSchema, rulesSchema]) {
    walkSchema(schema, (path) => {
      const name = path.join('.').replaceAll(`.${ITEM}`, ITEM)
      const isNamed =
        page.includes(`\`${name}\``) || new RegExp(`^#+ ${escaped(name)}$`, 'm').test(page)
      // Conditions of rules are refused so far; the items of a list are described by the list.
      if (!isNamed && name !== '' && !name.endsWith(ITEM) && name !== 'rules[].when')
        missing.push(name)
    })
  }
  expect(missing).toEqual([])
})

test('the page fits a terminal of 100 columns', () => {
  const lines = configurationReference().split('\n')
  expect(lines.filter((line) => line.length > 100 && !line.startsWith('<!--'))).toEqual([])
})

test('every example of the page is valid YAML', () => {
  const examples = [...page.matchAll(/^ *```yaml\n(.*?)^ *```$/gms)]
  expect(examples.length).toBeGreaterThan(2)
  for (const [, text = ''] of examples) expect(parse(text)).toBeTypeOf('object')
})

describe('a file that the page says is read again', () => {
  test('is watched, under the name that the page gives', async () => {
    const started = [await startWithEveryFile(), await startWithEveryFile('privateKeyFile')]
    const read = started.map(async (gatehouse) => ({
      gatehouse,
      configuration: parse(await readFile(gatehouse.file('gatehouse.yaml'), 'utf8')) as unknown,
    }))
    const all = await Promise.all(read)
    for (const [what, fields] of reloadedFiles()) {
      for (const field of fields) {
        const named = all.find(({ configuration }) => fileIn(configuration, field) !== undefined)
        expect(named, `${field} in a configuration of this test`).toBeDefined()
        const { gatehouse, configuration } = named!
        const file = fileIn(configuration, field)
        const before = gatehouse.log.length
        await appendFile(resolve(gatehouse.directory, String(file)), '\n')
        gatehouse.gatehouse.reload()
        // A new credential is tried first.
        await expect
          .poll(() => [field, reloadsIn(gatehouse.log.slice(before))])
          .toEqual([field, [what]])
      }
    }
  })

  test('is all that is watched', async () => {
    const gatehouse = await startWithEveryFile()
    const { values } = await gatehouse.gatehouse.metrics.lastReloadSuccessful.get()
    const watched = values.map(({ labels }) => labels.what)
    expect(watched.toSorted()).toEqual([...reloadedFiles().keys()].toSorted())
  })
})

/**
 * A Gatehouse whose configuration names a file in every field that may name one, and in one of two that
 * exclude each other.
 */
async function startWithEveryFile(
  credential: 'clientSecretFile' | 'privateKeyFile' = 'clientSecretFile',
): Promise<TestGatehouse> {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-reference-'))
  const authority = await createAuthority({ commonName: 'users' })
  const proxies = await createAuthority({ commonName: 'proxies' })
  const partners = await createAuthority({ commonName: 'partners' })
  const sni = await authority.issue({
    commonName: 'sni',
    dnsNames: ['sni.example.com'],
    usages: ['server'],
  })
  const keys = JSON.stringify({ keys: [(await createSigningKey('first')).publicJwk] })
  const issuing = await createAuthority({ commonName: 'issuing' })
  const files = {
    'issuing-ca.crt': issuing.certificatePem,
    'issuing-ca.key': issuing.keyPem,
    'ldap-ca.crt': authority.certificatePem,
    'ldap-password': 'password',
    'source-password': 'password',
    'ca.crt': authority.certificatePem,
    'ca.crl':
      (await authority.revoke([])) + (await partners.revoke([])) + (await proxies.revoke([])),
    'proxies-ca.crt': proxies.certificatePem,
    'partners-ca.crt': partners.certificatePem,
    'sni.crt': sni.certificatePem,
    'sni.key': sni.keyPem,
    'serving-ca.crt': authority.certificatePem,
    'redis-ca.crt': authority.certificatePem,
    'redis-password': 'password',
    'state-secret': 'k'.repeat(64),
    'issuer-ca.crt': authority.certificatePem,
    'proxy-ca.crt': authority.certificatePem,
    'source-ca.crt': authority.certificatePem,
    'keys.json': keys,
    'transmitter-keys.json': keys,
    'transmitter-ca.crt': authority.certificatePem,
    'transmitter-proxy-ca.crt': authority.certificatePem,
    'transmitter-proxy-credentials': 'gate:secret',
    'push-authorization': 'Bearer secret',
    'poll-authorization': 'Bearer secret',
    'google-keys.json': keys,
    'ldap-keys.json': keys,
    'client-secret': 'secret',
    'service-account.json': JSON.stringify({
      type: 'service_account',
      private_key_id: 'key-1',
      private_key: sni.keyPem,
      client_email: 'gatehouse@project.iam.gserviceaccount.com',
      token_uri: `${NOWHERE}/token`,
    }),
    'members.yaml': 'apiVersion: gatehouse/v1\nkind: GroupMemberships\ngroups: []',
    'proxy-credentials': 'gate:secret',
    clientSecretFile: 'secret',
    privateKeyFile: sni.keyPem,
    'cookie-keys': Buffer.alloc(32).toString('base64'),
    'issuers.yaml': stringify(authenticationConfiguration()),
    'locks.yaml': await readFile(resolve(import.meta.dirname, '../../config/locks.yaml'), 'utf8'),
  }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  const api = await startApiServer()
  const gatehouse = await startTestGatehouse({
    upstream: upstreamOf(api),
    // Nobody knows what has ended: there is no Redis.
    waitsForReadiness: false,
    configuration: {
      authentication: {
        x509: {
          clientCAFile: join(folder, 'ca.crt'),
          crlFile: join(folder, 'ca.crl'),
          authorities: [{ caFile: join(folder, 'partners-ca.crt') }],
          frontProxy: {
            caFile: join(folder, 'proxies-ca.crt'),
            trustedNetworks: ['192.0.2.1'],
          },
        },
        issuedCertificates: {
          caFile: join(folder, 'issuing-ca.crt'),
          privateKeyFile: join(folder, 'issuing-ca.key'),
          issuers: [KNOWN_ISSUER],
          directories: [
            {
              name: 'company-ldap',
              // Nobody listens there: the files are read all the same.
              servers: ['ldaps://127.0.0.1:1'],
              caFile: join(folder, 'ldap-ca.crt'),
              bindDN: 'cn=gatehouse',
              bindPasswordFile: join(folder, 'ldap-password'),
              users: { baseDN: 'dc=example' },
              usernamePrefix: 'ldap:',
              groupPrefix: 'ldap:',
            },
          ],
        },
        configFile: join(folder, 'issuers.yaml'),
        securityEvents: {
          transmitters: [
            {
              ...{ issuer: KNOWN_ISSUER, audiences: ['gatehouse'], issuers: [KNOWN_ISSUER] },
              jwksFile: join(folder, 'transmitter-keys.json'),
              push: { authorizationFile: join(folder, 'push-authorization') },
            },
            {
              ...{ issuer: DISTANT_ISSUER, audiences: ['gatehouse'], issuers: [DISTANT_ISSUER] },
              poll: {
                url: `${NOWHERE}/poll`,
                authorizationFile: join(folder, 'poll-authorization'),
              },
              certificateAuthorityFile: join(folder, 'transmitter-ca.crt'),
              proxy: {
                url: 'http://127.0.0.1:1',
                certificateAuthorityFile: join(folder, 'transmitter-proxy-ca.crt'),
                credentialsFile: join(folder, 'transmitter-proxy-credentials'),
              },
            },
          ],
        },
        issuers: [
          {
            url: KNOWN_ISSUER,
            jwksFile: join(folder, 'keys.json'),
            groupSource: { file: join(folder, 'members.yaml') },
          },
          {
            url: DISTANT_ISSUER,
            certificateAuthorityFile: join(folder, 'issuer-ca.crt'),
            proxy: {
              url: 'http://127.0.0.1:1',
              certificateAuthorityFile: join(folder, 'proxy-ca.crt'),
              credentialsFile: join(folder, 'proxy-credentials'),
            },
            groupSource: {
              certificateAuthorityFile: join(folder, 'source-ca.crt'),
              microsoftGraph: {
                ...{ tenantID: 'tenant', clientID: 'client' },
                ...{ endpoint: NOWHERE, authority: NOWHERE },
                clientSecretFile: join(folder, 'client-secret'),
              },
            },
          },
          {
            url: GOOGLE,
            jwksFile: join(folder, 'google-keys.json'),
            groupSource: {
              googleWorkspace: {
                ...{ adminUser: 'admin@example.com', endpoint: NOWHERE },
                serviceAccountKeyFile: join(folder, 'service-account.json'),
              },
            },
          },
          {
            url: LDAP_ISSUER,
            jwksFile: join(folder, 'ldap-keys.json'),
            groupSource: {
              ldap: {
                servers: ['ldaps://127.0.0.1:1'],
                bindDN: 'cn=gatehouse',
                bindPasswordFile: join(folder, 'source-password'),
                users: { baseDN: 'dc=example' },
                groups: { baseDN: 'dc=example' },
              },
              userClaim: 'sub',
            },
          },
        ],
      },
      signIn: {
        caFile: join(folder, 'serving-ca.crt'),
        pages: {
          url: 'https://login.localhost',
          apiURL: 'https://localhost',
          issuer: KNOWN_ISSUER,
          clientID: 'kubernetes',
          [credential]: join(folder, credential),
          cookieKeysFile: join(folder, 'cookie-keys'),
        },
      },
      state: {
        type: 'redis',
        redis: {
          // Nobody listens there: the files are read all the same.
          addresses: ['127.0.0.1:1'],
          caFile: join(folder, 'redis-ca.crt'),
          passwordFile: join(folder, 'redis-password'),
          secretFile: join(folder, 'state-secret'),
        },
      },
      locks: { file: join(folder, 'locks.yaml') },
      listener: {
        tls: {
          sniCertificates: [
            { certFile: join(folder, 'sni.crt'), privateKeyFile: join(folder, 'sni.key') },
          ],
        },
      },
    },
  })
  onTestFinished(async () => {
    await gatehouse.close()
    await api.close()
    await rm(folder, { recursive: true })
  })
  return gatehouse
}

function authenticationConfiguration(): unknown {
  return {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthenticationConfiguration',
    jwt: [KNOWN_ISSUER, DISTANT_ISSUER, GOOGLE, LDAP_ISSUER].map((url) => ({
      issuer: { url, audiences: ['kubernetes'] },
      claimMappings: {
        username: { claim: 'sub', prefix: `${url}#` },
        groups: { claim: 'groups', prefix: `${url}#` },
      },
    })),
  }
}

function escaped(text: string): string {
  return text.replaceAll(/[.[\]]/g, '\\$&')
}

/** The value of a field of the page, in lists that of the first item that has it. */
function fileIn(configuration: unknown, field: string): unknown {
  const [list = '', ...rest] = field.split(`${ITEM}.`)
  const value = valueAt(configuration, list.split('.'))
  if (rest.length === 0) return value
  const items: readonly unknown[] = Array.isArray(value) ? value : []
  return items.map((item) => fileIn(item, rest.join(`${ITEM}.`))).find((file) => file !== undefined)
}

function reloadsIn(log: readonly string[]): readonly string[] {
  return log
    .map((line) => JSON.parse(line) as { readonly msg: string; readonly what: string })
    .filter(({ msg }) => msg === 'reloaded')
    .map(({ what }) => what)
}
