import { execFileSync } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'

import { createAuthority, type Authority, type KeyPair } from '../../certs-dev/pki.ts'
import { ConfigError, formatProblem } from '../../src/config/problem.ts'
import { loadAll } from '../../src/gatehouse/load.ts'
import { ALLOW_ALL, SECRET } from '../support/gatehouse.ts'

const NO_CLUSTER = { host: '', port: '', folder: '/none' }

let ca: Authority
let serving: KeyPair
let client: KeyPair
let folder = ''
const at = (name: string): string => join(folder, name)

beforeAll(async () => {
  ca = await createAuthority({ commonName: 'ca' })
  serving = await ca.issue({ commonName: 'g', dnsNames: ['g.example'], usages: ['server'] })
  client = await ca.issue({ commonName: 'gatehouse', usages: ['client'] })
})

const CONFIGURATION = `apiVersion: gatehouse/v1
kind: GatehouseConfiguration
listener:
  tls:
    certFile: serving.crt
    privateKeyFile: serving.key
authentication:
  x509: { clientCAFile: ca.crt }
authorization: { rulesFile: rules.yaml }
audit: { file: { path: audit.log } }
upstream:
  kubeconfig: up.kubeconfig
`

interface KubeconfigParts {
  readonly cluster?: object
  readonly user?: object
}

function kubeconfig({ cluster, user }: KubeconfigParts = {}): string {
  const base64 = (pem: string): string => Buffer.from(pem).toString('base64')
  return stringify({
    clusters: [
      {
        name: 'c',
        cluster: cluster ?? {
          server: 'https://127.0.0.1:6443',
          'certificate-authority-data': base64(ca.certificatePem),
        },
      },
    ],
    users: [
      {
        name: 'u',
        user: user ?? {
          'client-certificate-data': base64(client.certificatePem),
          'client-key-data': base64(client.keyPem),
        },
      },
    ],
    contexts: [
      { name: 'one', context: { cluster: 'c', user: 'u' } },
      { name: 'two', context: { cluster: 'c', user: 'u' } },
    ],
    'current-context': 'one',
  })
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-load-'))
  const files = {
    'serving.crt': serving.certificatePem,
    'serving.key': serving.keyPem,
    'ca.crt': ca.certificatePem,
    'rules.yaml': stringify(ALLOW_ALL),
    'up.kubeconfig': kubeconfig(),
    'gatehouse.yaml': CONFIGURATION,
  }
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(at(name), text, SECRET)))
})

afterEach(() => rm(folder, { recursive: true }))

/** As an operator reads them, without the folder. */
function problems(inCluster = NO_CLUSTER): string[] {
  try {
    return loadAll(at('gatehouse.yaml'), { inCluster }).warnings.map(told)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map(told)
  }
}

function told(problem: Parameters<typeof formatProblem>[0]): string {
  return formatProblem(problem).replaceAll(`${folder}/`, '').replaceAll(folder, 'FOLDER')
}

const configure = (from: string, to: string): Promise<void> =>
  writeFile(at('gatehouse.yaml'), CONFIGURATION.replace(from, to))

test('of a file of another kind, the kind is the first problem', async () => {
  await writeFile(at('gatehouse.yaml'), stringify({ ...ALLOW_ALL }))
  const [first, ...others] = problems()
  expect(first).toBe(
    'gatehouse.yaml:2:1: kind: "AccessRules" is not supported (must be GatehouseConfiguration)',
  )
  expect(others.length).toBeGreaterThan(3)
})

test('a good configuration has neither problems nor warnings', () => {
  expect(problems()).toEqual([])
})

describe('a private key or a token that every user of the machine can read is warned of', () => {
  const WARNING =
    'holds a secret, and every user of this machine can read it ' +
    '(run chmod o= on it; in a pod, set defaultMode: 0440 for its volume)'

  test('the serving key, with its field', async () => {
    await chmod(at('serving.key'), 0o644)
    expect(problems()).toEqual([
      `gatehouse.yaml:6:5: listener.tls.privateKeyFile: serving.key ${WARNING}`,
    ])
  })

  test('the key of an SNI certificate', async () => {
    await writeFile(at('sni.crt'), serving.certificatePem)
    await writeFile(at('sni.key'), serving.keyPem, { mode: 0o644 })
    const sni = 'sniCertificates: [{ certFile: sni.crt, privateKeyFile: sni.key }]'
    await configure('certFile: serving.crt', `${sni}\n    certFile: serving.crt`)
    expect(problems()).toEqual([expect.stringContaining(`privateKeyFile: sni.key ${WARNING}`)])
  })

  test('a kubeconfig with the secret in it', async () => {
    await chmod(at('up.kubeconfig'), 0o644)
    expect(problems()).toEqual([
      `gatehouse.yaml:12:3: upstream.kubeconfig: up.kubeconfig ${WARNING}`,
    ])
  })

  test('the files that a kubeconfig names, and not a kubeconfig that only names them', async () => {
    await writeFile(at('token'), 'secret', { mode: 0o644 })
    await writeFile(at('up.kubeconfig'), kubeconfig({ user: { tokenFile: 'token' } }))
    await chmod(at('up.kubeconfig'), 0o644)
    expect(problems()).toEqual([`token: ${WARNING}`])
  })

  test("a pod's service account token", async () => {
    await writeFile(at('token'), 'secret', { mode: 0o644 })
    await configure('kubeconfig: up.kubeconfig', 'inCluster: true')
    expect(problems({ host: '10.0.0.1', port: '443', folder })).toEqual([`token: ${WARNING}`])
  })
})

describe('what is in place of a file is not read', () => {
  const FIFO = 'is not a regular file (name a file, not a pipe, socket or device)'

  test.for(['serving.crt', 'serving.key', 'ca.crt', 'rules.yaml', 'up.kubeconfig'])(
    'a FIFO in place of %s',
    async (name) => {
      await rm(at(name))
      execFileSync('mkfifo', [at(name)])
      expect(problems()).toEqual([expect.stringContaining(`${name} ${FIFO}`)])
    },
  )

  test('a FIFO in place of the configuration itself', async () => {
    await rm(at('gatehouse.yaml'))
    execFileSync('mkfifo', [at('gatehouse.yaml')])
    expect(problems()).toEqual([`gatehouse.yaml: ${FIFO}`])
  })

  test('a FIFO in place of a file that the kubeconfig names', async () => {
    execFileSync('mkfifo', [at('token')])
    await writeFile(at('up.kubeconfig'), kubeconfig({ user: { tokenFile: 'token' } }))
    expect(problems()).toEqual([expect.stringContaining(`token ${FIFO}`)])
  })

  test('600 MB in place of the rules', async () => {
    await truncate(at('rules.yaml'), 600_000_000)
    expect(problems()).toEqual([
      'gatehouse.yaml:9:18: authorization.rulesFile: rules.yaml is larger than 16 MiB ' +
        '(check that this is the file meant)',
    ])
  })
})

describe('of certificates whose time is over, or not yet here, warnings tell', () => {
  const past = new Date('2021-01-01T00:00:00Z')
  const day = 24 * 60 * 60 * 1_000
  const dateIn = (days: number): Date => new Date(Date.now() + days * day)
  const text = (date: Date): string => date.toISOString().slice(0, 10)
  const issueServing = async (validity: { notBefore?: Date; notAfter?: Date }) => {
    const issued = await ca.issue({
      commonName: 'g',
      dnsNames: ['g.example'],
      usages: ['server'],
      ...validity,
    })
    await writeFile(at('serving.crt'), issued.certificatePem)
    await writeFile(at('serving.key'), issued.keyPem)
  }
  const FIELD = 'gatehouse.yaml:5:5: listener.tls.certFile: serving.crt'

  test('the serving certificate, with its field', async () => {
    await issueServing({ notBefore: new Date(0), notAfter: past })
    expect(problems()).toEqual([`${FIELD} expired on 2021-01-01 (renew it)`])
    const [tomorrow, soon, later] = [dateIn(2), dateIn(13), dateIn(15)]
    await issueServing({ notBefore: tomorrow, notAfter: later })
    expect(problems()).toEqual([
      `${FIELD} is not valid before ${text(tomorrow)} (check the clock, or provide one that is valid now)`,
    ])
    await issueServing({ notAfter: soon })
    expect(problems()).toEqual([`${FIELD} expires on ${text(soon)} (renew it)`])
    await issueServing({ notAfter: later })
    expect(problems()).toEqual([])
  })

  test('a client CA among several', async () => {
    const old = await createAuthority({ commonName: 'old', days: 1 })
    await writeFile(at('ca.crt'), ca.certificatePem + old.certificatePem)
    expect(problems()).toEqual([
      `gatehouse.yaml:8:11: authentication.x509.clientCAFile: ca.crt certificate 2 of 2 expires on ${text(dateIn(1))} (renew it)`,
    ])
  })

  test('Gatehouse’s own client certificate', async () => {
    const own = await ca.issue({
      commonName: 'own',
      usages: ['client'],
      notAfter: past,
      notBefore: new Date(0),
    })
    const base64 = (pem: string): string => Buffer.from(pem).toString('base64')
    const user = {
      'client-certificate-data': base64(own.certificatePem),
      'client-key-data': base64(own.keyPem),
    }
    await writeFile(at('up.kubeconfig'), kubeconfig({ user }))
    expect(problems()).toEqual([
      'gatehouse.yaml:12:3: upstream.kubeconfig: up.kubeconfig the client certificate expired on 2021-01-01 (renew it)',
    ])
  })

  describe('revocation lists', () => {
    beforeEach(() => configure('clientCAFile: ca.crt', 'clientCAFile: ca.crt, crlFile: ca.crl'))
    const CRL = 'gatehouse.yaml:8:33: authentication.x509.crlFile: ca.crl'

    test('that have expired, unless a newer one of the same CA is there', async () => {
      const expired = await ca.revoke([], { thisUpdate: new Date(0), nextUpdate: past })
      await writeFile(at('ca.crl'), expired)
      expect(problems()).toEqual([
        `${CRL} the revocation list of "ca" expired on 2021-01-01 (renew it)`,
      ])
      await writeFile(at('ca.crl'), (await ca.revoke([])) + expired)
      expect(problems()).toEqual([])
    })

    test('that are of no client CA, and client CAs that have none', async () => {
      const other = await createAuthority({ commonName: 'other' })
      await writeFile(at('ca.crl'), await other.revoke([]))
      expect(problems()).toEqual([
        `${CRL} contains no revocation list that is signed by the client CA "CN=ca" ` +
          '(provide one list for each CA, an empty one if nothing is revoked)',
      ])
      await writeFile(at('ca.crl'), (await ca.revoke([])) + (await other.revoke([])))
      expect(problems()).toEqual([
        `${CRL} contains a revocation list of "other", which is not a client CA ` +
          '(remove it, unless that CA is below a client CA and its users send its certificate)',
      ])
    })
  })
})

describe('of a file that is PEM, the field that names it is told', () => {
  test('a serving key of another certificate', async () => {
    await writeFile(at('serving.key'), client.keyPem)
    expect(problems()).toEqual([
      'gatehouse.yaml:6:5: listener.tls.privateKeyFile: serving.key does not match serving.crt ' +
        '(provide the key of that certificate)',
    ])
  })

  test('a serving certificate that only has a common name', async () => {
    const unnamed = await ca.issue({ commonName: 'g.example', usages: ['server'] })
    await writeFile(at('serving.crt'), unnamed.certificatePem)
    await writeFile(at('serving.key'), unnamed.keyPem)
    expect(problems()).toEqual([
      'gatehouse.yaml:5:5: listener.tls.certFile: serving.crt has no DNS name ' +
        'or IP address as a subject alternative name, and clients ignore the common name ' +
        '(issue the certificate with the names and addresses that clients connect to)',
    ])
  })

  test('a serving certificate and key that are none', async () => {
    await writeFile(at('serving.crt'), 'none')
    await writeFile(at('serving.key'), 'none')
    expect(problems()).toEqual([
      'gatehouse.yaml:5:5: listener.tls.certFile: serving.crt is not a PEM certificate ' +
        '(provide the certificate, then its intermediates)',
      'gatehouse.yaml:6:5: listener.tls.privateKeyFile: serving.key is not a PEM private key ' +
        '(provide an unencrypted PKCS#8 key)',
    ])
  })

  test('a client CA that is none', async () => {
    await writeFile(at('ca.crt'), 'none')
    expect(problems()).toEqual([
      'gatehouse.yaml:8:11: authentication.x509.clientCAFile: ca.crt contains no certificate ' +
        '(provide a PEM bundle of CA certificates)',
    ])
  })
})

test('what a broken configuration names is checked with it', async () => {
  await configure('audit:', 'audti: {}\naudit:')
  await writeFile(at('serving.key'), 'none')
  await writeFile(at('ca.crt'), 'none')
  await writeFile(at('rules.yaml'), `${stringify(ALLOW_ALL)}rule: []\n`)
  await writeFile(at('up.kubeconfig'), kubeconfig({ user: {} }))
  expect(problems()).toEqual([
    expect.stringContaining('listener.tls.privateKeyFile: serving.key is not a PEM private key'),
    expect.stringContaining('authentication.x509.clientCAFile: ca.crt contains no certificate'),
    'gatehouse.yaml:10:1: audti: unknown field (did you mean audit?)',
    'rules.yaml:15:1: rule: unknown field (did you mean rules?)',
    expect.stringContaining('up.kubeconfig:8:5: users[0].user: no credential is set'),
  ])
})

test('every file is checked in one round, whatever is wrong with those beside it', async () => {
  const configuration = {
    ...(parse(CONFIGURATION) as object),
    bogus: 1,
    authentication: {
      x509: { clientCAFile: 'bad-1', crlFile: 'bad-2' },
      issuedCertificates: {
        ...{ caFile: 'bad-3', privateKeyFile: 'bad-4' },
        directories: [
          {
            ...{ name: 'corp', servers: ['ldaps://a.example'], caFile: 'bad-5', bindDN: 'cn=x' },
            ...{ bindPasswordFile: 'empty-1', users: { baseDN: 'dc=x' } },
            ...{ usernamePrefix: 'ldap:', groupPrefix: 'ldap:' },
          },
        ],
      },
    },
    state: {
      type: 'redis',
      redis: {
        addresses: ['127.0.0.1:1'],
        passwordFile: 'empty-2',
        caFile: 'bad-6',
        secretFile: 'bad-7',
      },
    },
  }
  for (let i = 1; i <= 7; i++) await writeFile(at(`bad-${i}`), 'garbage', SECRET)
  for (let i = 1; i <= 2; i++) await writeFile(at(`empty-${i}`), '', SECRET)
  await writeFile(at('gatehouse.yaml'), stringify(configuration))
  const fields = problems().map((line) => /^\S+: ([\w.[\]]+): /.exec(line)?.[1])
  expect(fields.toSorted()).toEqual([
    'authentication.issuedCertificates.caFile',
    'authentication.issuedCertificates.directories[0].bindPasswordFile',
    'authentication.issuedCertificates.directories[0].caFile',
    'authentication.issuedCertificates.privateKeyFile',
    'authentication.x509.clientCAFile',
    'authentication.x509.crlFile',
    'bogus',
    'state.redis.caFile',
    'state.redis.passwordFile',
    'state.redis.secretFile',
  ])
})

test('of a pair the half that is there is checked', async () => {
  await rm(at('serving.crt'))
  await writeFile(at('serving.key'), 'none')
  expect(problems()).toEqual([
    'gatehouse.yaml:5:5: listener.tls.certFile: serving.crt does not exist ' +
      '(create it, or correct the path)',
    expect.stringContaining('listener.tls.privateKeyFile: serving.key is not a PEM private key'),
  ])
})

describe('the audit log', () => {
  test('is not a folder', async () => {
    await configure('audit.log', '.')
    expect(problems()).toEqual([
      'gatehouse.yaml:10:18: audit.file.path: FOLDER is a directory ' +
        '(name a file in it, such as audit.log)',
    ])
  })

  test('has a folder that is none', async () => {
    await configure('audit.log', 'ca.crt/audit.log')
    expect(problems()).toEqual([
      'gatehouse.yaml:10:18: audit.file.path: the directory ca.crt does not exist ' +
        '(create it, or correct the path)',
    ])
  })
})

describe('a kubeconfig’s problem is told once, by its cause', () => {
  const cluster = { server: 'https://127.0.0.1:6443' }
  const cases: readonly (readonly [name: string, KubeconfigParts, expected: string])[] = [
    [
      'an exec plugin',
      { user: { exec: { command: 'aws' } } },
      "users[0].user.exec: is not supported for Gatehouse's own credential " +
        '(use a client certificate, token or tokenFile, such as those of a dedicated service account)',
    ],
    [
      'verification left out',
      { cluster: { ...cluster, 'insecure-skip-tls-verify': true } },
      "clusters[0].cluster.insecure-skip-tls-verify: the API server's certificate must be verified " +
        '(remove this field and set certificate-authority-data)',
    ],
    [
      'a CA file that is missing',
      { cluster: { ...cluster, 'certificate-authority': 'none.crt' } },
      'clusters[0].cluster.certificate-authority: none.crt does not exist (create it, or correct the path)',
    ],
    [
      'a token file that is missing',
      { user: { tokenFile: 'none' } },
      'users[0].user.tokenFile: none does not exist (create it, or correct the path)',
    ],
    [
      'a folder in place of a token file',
      { user: { tokenFile: '.' } },
      'users[0].user.tokenFile: FOLDER is a directory (name a file in it)',
    ],
    [
      'a certificate without its key',
      { user: { 'client-certificate': 'serving.crt' } },
      'users[0].user: client-certificate and client-key must be set together (set both)',
    ],
    [
      'a certificate that is missing',
      { user: { 'client-certificate': 'none.crt', 'client-key': 'serving.key' } },
      'users[0].user.client-certificate: none.crt does not exist (create it, or correct the path)',
    ],
    [
      'a key of another certificate',
      { user: { 'client-certificate': 'ca.crt', 'client-key': 'serving.key' } },
      'users[0].user.client-key: is not the private key of the client certificate ' +
        '(use the key of the same pair)',
    ],
    [
      'a token that is empty',
      { user: { token: '' } },
      'users[0].user: no credential is set (set a client certificate and key, token or tokenFile)',
    ],
  ]

  test.for(cases)('%s', async ([, parts, expected]) => {
    await writeFile(at('up.kubeconfig'), kubeconfig(parts))
    const found = problems().map((text) => text.replace(/^up\.kubeconfig:\d+:\d+: /, ''))
    expect(found).toEqual([expected])
  })
})

describe('the context', () => {
  test('that is unknown is told where gatehouse.yaml names it, with those there are', async () => {
    await configure('kubeconfig: up.kubeconfig', 'kubeconfig: up.kubeconfig\n  context: three')
    expect(problems()).toEqual([
      'gatehouse.yaml:13:3: upstream.context: up.kubeconfig has no context "three" ' +
        '(must be one of: one, two)',
    ])
  })

  test('that the kubeconfig itself makes current is told there', async () => {
    await writeFile(at('up.kubeconfig'), kubeconfig().replace('t-context: one', 't-context: three'))
    expect(problems()).toEqual([
      expect.stringMatching(
        /^up\.kubeconfig:\d+:1: current-context: there is no context "three" \(must be one of: one, two\)$/,
      ),
    ])
  })
})

describe('in a cluster', () => {
  const inCluster = () => ({ host: '10.0.0.1', port: '443', folder })

  beforeEach(() => configure('kubeconfig: up.kubeconfig', 'inCluster: true'))

  test('that is none: the cause is told once', () => {
    expect(problems()).toEqual([
      'gatehouse.yaml:12:3: upstream.inCluster: /none is not available: not running in a pod, ' +
        'KUBERNETES_SERVICE_HOST is not set (run in a pod, or use upstream.kubeconfig)',
    ])
  })

  test.for([
    ['10.0.0.1:6443', '443'],
    ['user@10.0.0.1', '443'],
    ['10.0.0.1/path', '443'],
    ['two words', '443'],
    ['::1]', '443'],
    ['999.0.0.1', '443'],
    ['10.0.0.1', 'tcp://10.0.0.1:443'],
    ['10.0.0.1', '65536'],
    ['10.0.0.1', '0'],
    ['10.0.0.1', ''],
  ] as const)('KUBERNETES_SERVICE_HOST %j with the port %j is a problem', ([host, port]) => {
    expect(problems({ ...inCluster(), host, port })).toContain(
      'gatehouse.yaml:12:3: upstream.inCluster: FOLDER cannot be used: ' +
        `KUBERNETES_SERVICE_HOST ${JSON.stringify(host)} and KUBERNETES_SERVICE_PORT ` +
        `${JSON.stringify(port)} are not a host and a port ` +
        '(do not set them for the pod: Kubernetes sets both in every container)',
    )
  })

  test('an IPv6 address is a host', async () => {
    const ca = await createAuthority({ commonName: 'ca' })
    await writeFile(at('ca.crt'), ca.certificatePem)
    await writeFile(at('token'), 'abc', SECRET)
    const { credential } = loadAll(at('gatehouse.yaml'), {
      inCluster: { ...inCluster(), host: 'fd00::1', port: '6443' },
    })
    expect(credential.value.endpoint).toMatchObject({ hostname: 'fd00::1', port: 6443 })
  })

  test('a token that is empty is no credential', async () => {
    await writeFile(at('token'), '\n')
    expect(problems(inCluster())).toEqual([
      'gatehouse.yaml:12:3: upstream.inCluster: token is empty ' +
        '(run in a pod with a service account (automountServiceAccountToken: true))',
    ])
  })
})

describe('a warning is given', () => {
  test('of system:masters', async () => {
    await configure('x509:', 'systemIdentities: { groups: [system:masters] }\n  x509:')
    expect(problems()).toEqual([
      'gatehouse.yaml:8:32: authentication.systemIdentities.groups[0]: system:masters bypasses ' +
        'RBAC: its members may do everything ' +
        '(remove it, and bind a group of your own to the ClusterRole cluster-admin)',
    ])
  })

  test.for([
    ['limits: { concurrent: { requests: 256 } }', 'limits.concurrent.requests', 256, 256],
    ['limits: { concurrent: { requests: 500 } }', 'limits.concurrent.requests', 500, 256],
    ['  connections: { maxConnections: 80 }', 'upstream.connections.maxConnections', 100, 80],
  ] as const)('of one user who can hold the whole pool: %s', async ([text, field, one, all]) => {
    await writeFile(at('gatehouse.yaml'), `${CONFIGURATION}${text}\n`)
    expect(problems()).toEqual([
      expect.stringContaining(
        `${field}: one user may run ${one} requests at the same time and hold all ${all} connections to ` +
          'the API server (keep limits.concurrent.requests well below ' +
          'upstream.connections.maxConnections)',
      ),
    ])
  })
})

test('what every file held is known to the watcher, those of the kubeconfig too', async () => {
  await writeFile(at('token'), 'first')
  await writeFile(at('up.kubeconfig'), kubeconfig({ user: { tokenFile: 'token' } }))
  const load = () => loadAll(at('gatehouse.yaml'), { inCluster: NO_CLUSTER })
  const { credential, digests } = load()
  await writeFile(at('token'), 'second')
  const later = load().digests
  const isSame = (name: string): boolean => digests.get(at(name)) === later.get(at(name))
  expect(credential.value.files).toEqual([at('up.kubeconfig'), at('token')])
  expect(['serving.crt', 'rules.yaml', 'token'].map(isSame)).toEqual([true, true, false])
})

describe('client CAs with names of their own', () => {
  async function withX509(x509: object): Promise<readonly string[]> {
    await configure('  x509: { clientCAFile: ca.crt }', `  x509: ${JSON.stringify(x509)}`)
    return problems().map((line) => line.replace(/^.*authentication\.x509\.?/, ''))
  }
  const spiffe = { caFile: 'other.crt', usernameFrom: 'spiffeID', trustDomain: 'example.org' }

  beforeEach(async () => {
    const other = await createAuthority({ commonName: 'other' })
    await writeFile(at('other.crt'), other.certificatePem)
  })

  test('take the place of clientCAFile', async () => {
    expect(await withX509({ authorities: [{ caFile: 'other.crt' }] })).toEqual([])
  })

  test.for<readonly [what: string, x509: object, problem: string]>([
    ['no CA', {}, 'names no CA (set clientCAFile, authorities or both)'],
    [
      'SPIFFE IDs of any trust domain',
      { authorities: [{ ...spiffe, trustDomain: undefined }] },
      'authorities[0].trustDomain: is required with spiffeID (write the trust domain of the CA)',
    ],
    [
      'a trust domain without SPIFFE IDs',
      { authorities: [{ ...spiffe, usernameFrom: 'commonName' }] },
      'authorities[0].trustDomain: has no effect without usernameFrom: spiffeID (remove it)',
    ],
    [
      'a trust domain that is a URL',
      { authorities: [{ ...spiffe, trustDomain: 'spiffe://example.org' }] },
      'authorities[0].trustDomain: "spiffe://example.org" is not a trust domain (must be a name of lower-case letters, digits, ".", "-" and "_")',
    ],
    [
      'a prefix of Kubernetes',
      { authorities: [{ caFile: 'other.crt', usernamePrefix: 'System:' }] },
      'authorities[0].usernamePrefix: is reserved for Kubernetes (must be a text such as "cert:", or "" for none)',
    ],
    [
      'a mapping for nobody',
      { authorities: [{ ...spiffe, groupMappings: [{ groups: ['web'] }] }] },
      'authorities[0].groupMappings[0]: matches nobody (set usernames, organizations or both)',
    ],
    [
      'a CA in two files',
      { clientCAFile: 'ca.crt', authorities: [{ caFile: 'ca2.crt', usernamePrefix: 'a:' }] },
      'keep it in one file',
    ],
  ])('with %s are a problem', async ([, x509, problem]) => {
    await writeFile(at('ca2.crt'), await readFile(at('ca.crt')))
    expect(await withX509(x509)).toEqual([expect.stringContaining(problem)])
  })

  test.for<readonly [what: string, frontProxy: object, problem: string]>([
    [
      'without networks',
      {},
      'frontProxy.trustedNetworks: is required (must be a list of networks)',
    ],
    [
      'in no network',
      { trustedNetworks: [] },
      'frontProxy.trustedNetworks: is empty (must be a list of networks)',
    ],
    [
      'that names nobody',
      { trustedNetworks: ['10.0.0.0/8'], usernameHeaders: [] },
      'frontProxy.usernameHeaders: is empty, so nobody could be named (list a header)',
    ],
    [
      'with a header that has another meaning',
      { trustedNetworks: ['10.0.0.0/8'], groupHeaders: ['Impersonate-Group'] },
      'frontProxy.groupHeaders[0]: "Impersonate-Group" has another meaning',
    ],
    [
      'with the CA of users',
      { trustedNetworks: ['10.0.0.0/8'], caFile: 'ca2.crt' },
      'keep it in one file',
    ],
  ])('and a front proxy %s are a problem', async ([, frontProxy, problem]) => {
    await writeFile(at('ca2.crt'), await readFile(at('ca.crt')))
    const x509 = { clientCAFile: 'ca.crt', frontProxy: { caFile: 'other.crt', ...frontProxy } }
    expect(await withX509(x509)).toEqual([expect.stringContaining(problem)])
  })

  test('and a front proxy whose headers are forwarded are a problem', async () => {
    await configure('upstream:', 'upstream:\n  additionalRequestHeaders: [X-Custom, X-User]')
    const frontProxy = {
      ...{ caFile: 'other.crt', trustedNetworks: ['10.0.0.0/8'] },
      ...{ usernameHeaders: ['x-user'], extraHeaderPrefixes: ['x-cus'] },
    }
    const text = await readFile(at('gatehouse.yaml'), 'utf8')
    const x509 = `  x509: ${JSON.stringify({ frontProxy })}`
    await writeFile(at('gatehouse.yaml'), text.replace('  x509: { clientCAFile: ca.crt }', x509))
    expect(problems()).toEqual([
      expect.stringContaining('additionalRequestHeaders[0]: names users in authentication.x509'),
      expect.stringContaining('additionalRequestHeaders[1]: names users in authentication.x509'),
    ])
  })

  test('with prefixes that overlap are a problem', async () => {
    const last = await createAuthority({ commonName: 'last' })
    await writeFile(at('last.crt'), last.certificatePem)
    const authorities = [
      { caFile: 'other.crt', usernamePrefix: 'a:', groupPrefix: 'g:' },
      { caFile: 'last.crt', usernamePrefix: 'a:b:', groupPrefix: 'g:' },
    ]
    expect(await withX509({ authorities })).toEqual([
      'authorities[1].usernamePrefix: "a:b:", with which its names begin, overlaps with "a:" of authorities[0] (choose another prefix, or put the CAs into one file)',
      'authorities[1].groupPrefix: "g:", with which its names begin, overlaps with "g:" of authorities[0] (choose another prefix, or put the CAs into one file)',
    ])
  })

  test('and an issuer with the same prefix are a problem', async () => {
    const jwt = [
      {
        issuer: { url: 'https://a.example', audiences: ['kubernetes'] },
        claimMappings: {
          username: { claim: 'sub', prefix: 'a:' },
          groups: { claim: 'groups', prefix: '' },
        },
      },
    ]
    const head = { apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AuthenticationConfiguration' }
    await writeFile(at('authentication.yaml'), JSON.stringify({ ...head, jwt }))
    const x509 = {
      authorities: [{ caFile: 'other.crt', usernamePrefix: 'a:b:', groupPrefix: 'g:' }],
    }
    await configure(
      '  x509: { clientCAFile: ca.crt }',
      `  configFile: authentication.yaml\n  x509: ${JSON.stringify(x509)}`,
    )
    expect(problems()).toEqual([
      expect.stringContaining(
        '"a:" overlaps with "a:b:", with which user names of client certificates begin',
      ),
      expect.stringContaining(
        '"" overlaps with "g:", with which groups of client certificates begin',
      ),
    ])
  })
})

describe('options of issuers', () => {
  const issuer = (url: string, groups?: object) => ({
    issuer: { url, audiences: ['kubernetes'] },
    claimMappings: { username: { claim: 'sub', prefix: `${url}#` }, groups },
  })
  const groups = { claim: 'groups', prefix: 'a:' }

  async function withIssuers(jwt: readonly object[], options: string): Promise<void> {
    const head = { apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AuthenticationConfiguration' }
    await writeFile(at('authentication.yaml'), JSON.stringify({ ...head, jwt }))
    await configure(
      '  x509: { clientCAFile: ca.crt }',
      `  configFile: authentication.yaml\n  x509: { clientCAFile: ca.crt }\n  issuers: ${options}`,
    )
  }

  test('for an issuer that is not configured are a problem', async () => {
    const options = '[{ url: https://a.example/, missingGroups: refuse }]'
    await withIssuers([issuer('https://a.example', groups)], options)
    expect(problems()).toEqual([
      'gatehouse.yaml:10:15: authentication.issuers[0].url: "https://a.example/" is not an issuer in ' +
        'authentication.configFile (write the exact url of the issuer, or remove it)',
    ])
  })

  test('that require groups of an issuer without groups are a problem', async () => {
    const options = '[{ url: https://a.example, missingGroups: refuse }]'
    await withIssuers([issuer('https://a.example')], options)
    expect(problems()).toEqual([
      'gatehouse.yaml:10:39: authentication.issuers[0].missingGroups: has no effect: claimMappings.groups ' +
        'of the issuer is not set (set claimMappings.groups, or remove it)',
    ])
  })

  test('that filter groups of an issuer without groups are a problem', async () => {
    const options = '[{ url: https://a.example, allowedGroups: ["a:x"] }]'
    await withIssuers([issuer('https://a.example')], options)
    expect(problems()).toEqual([
      expect.stringContaining('allowedGroups: has no effect: claimMappings.groups'),
    ])
  })

  test('that allow groups without the prefix of the issuer are a problem', async () => {
    const options = '[{ url: https://a.example, allowedGroups: ["x", "a:x", "*", "a*", "b*"] }]'
    await withIssuers([issuer('https://a.example', groups)], options)
    expect(problems()).toEqual([
      'gatehouse.yaml:10:55: authentication.issuers[0].allowedGroups[0]: matches no group: those of this ' +
        'issuer begin with "a:" (write "a:x")',
      'gatehouse.yaml:10:78: authentication.issuers[0].allowedGroups[4]: matches no group: those of this ' +
        'issuer begin with "a:" (write "a:b*")',
    ])
  })

  test.for(['""', '"a*b"', '"**"'])(
    'that allow groups such as %s are a problem',
    async (pattern) => {
      const options = `[{ url: https://a.example, allowedGroups: [${pattern}] }]`
      await withIssuers([issuer('https://a.example', groups)], options)
      expect(problems()).toEqual([
        expect.stringContaining('is empty, or has a * that is not at the end'),
      ])
    },
  )

  test('are listed once', async () => {
    const options = '[{ url: https://a.example }, { url: https://a.example }]'
    await withIssuers([issuer('https://a.example', groups)], options)
    expect(problems()).toEqual([expect.stringContaining('"https://a.example" is listed twice')])
  })

  describe('and name spaces', () => {
    const named = (url: string, username: string, groupPrefix?: string) => ({
      ...issuer(url),
      claimMappings: {
        username: { claim: 'sub', prefix: username },
        ...(groupPrefix === undefined ? {} : { groups: { claim: 'groups', prefix: groupPrefix } }),
      },
    })
    const [a, b] = ['https://a.example', 'https://b.example']
    const OVERLAP =
      /^authentication.yaml:1:\d+: jwt\[1\]\.claimMappings\.(username|groups)\.prefix: .* overlaps/

    test.for([
      ['the same prefix', named(a, 'x:'), named(b, 'x:'), 'username'],
      ['a prefix that begins with another', named(a, 'x:'), named(b, 'x:y:'), 'username'],
      ['a prefix with which another begins', named(a, 'x:y:'), named(b, 'x:'), 'username'],
      ['the same prefix of groups', named(a, 'x:', 'g:'), named(b, 'y:', 'g:'), 'groups'],
    ] as const)('%s of two issuers is a problem', async ([, first, second, field]) => {
      await withIssuers([first, second], '[]')
      expect(problems()).toEqual([expect.stringMatching(OVERLAP)])
      expect(problems()[0]).toContain(`${field}.prefix`)
      await withIssuers([first, second], `[{ url: ${a}, sharesNames: true }]`)
      expect(problems()).toEqual([expect.stringMatching(OVERLAP)])
    })

    test('that overlap can be accepted for both issuers', async () => {
      const options = `[{ url: ${a}, sharesNames: true }, { url: ${b}, sharesNames: true }]`
      await withIssuers([named(a, 'x:', ''), named(b, 'x:y:', '')], options)
      expect(problems()).toEqual([])
    })

    test('user names and groups are different name spaces', async () => {
      await withIssuers([named(a, 'x:', 'g:'), named(b, 'g:', 'x:')], '[]')
      expect(problems()).toEqual([])
    })

    test('an empty prefix beside client certificates is a problem, unless it is accepted', async () => {
      await withIssuers([named(a, 'x:', '')], '[]')
      expect(problems()).toEqual([
        expect.stringMatching(
          /jwt\[0\]\.claimMappings\.groups\.prefix: is empty, so groups of this issuer may be those of client certificates/,
        ),
      ])
      await withIssuers([named(a, '', '')], `[{ url: ${a}, sharesNames: true }]`)
      expect(problems()).toEqual([])
      await withIssuers([named(a, '', '')], '[]')
      const text = await readFile(at('gatehouse.yaml'), 'utf8')
      await writeFile(at('gatehouse.yaml'), text.replace(/ {2}x509: .*\n/, ''))
      expect(problems()).toEqual([])
    })
  })

  test('are of no use without a configFile', async () => {
    await configure('  x509', '  issuers: [{ url: https://a.example }]\n  x509')
    expect(problems()).toEqual([expect.stringContaining('has no effect without configFile')])
  })
})

/** One that gives its names the prefix `oidc:`. */
async function writeIssuer(): Promise<void> {
  const mapping = { claim: 'sub', prefix: 'oidc:' }
  const issuer = { url: 'https://issuer.example', audiences: ['kubernetes'] }
  await writeFile(
    at('authentication.yaml'),
    stringify({
      apiVersion: 'apiserver.config.k8s.io/v1',
      kind: 'AuthenticationConfiguration',
      jwt: [{ issuer, claimMappings: { username: mapping, groups: mapping } }],
    }),
  )
}

test('a subject of the rules without the prefix of any issuer is warned of', async () => {
  await configure('x509: { clientCAFile: ca.crt }', 'configFile: authentication.yaml')
  await writeIssuer()
  const [rule] = ALLOW_ALL.rules
  const rules = [{ ...rule, subjects: { groups: ['engineers'] } }]
  await writeFile(at('rules.yaml'), stringify({ ...ALLOW_ALL, rules }))
  expect(problems()).toEqual([
    expect.stringContaining(
      'rules[0].subjects.groups[0]: no group has the name "engineers": each begins with the prefix of its issuer (did you mean "oidc:engineers"?)',
    ),
  ])
})

describe('of a group that allowedGroups leaves out', () => {
  beforeEach(async () => {
    await configure(
      'x509: { clientCAFile: ca.crt }',
      `configFile: authentication.yaml
  issuers: [{ url: https://issuer.example, allowedGroups: ['oidc:dev'] }]
  issuedCertificates:
    caFile: issuing.crt
    privateKeyFile: issuing.key
    directories:
      - name: company
        servers: [ldaps://ldap.example]
        caFile: ca.crt
        bindDN: cn=gatehouse
        bindPasswordFile: issuing.key
        users: { baseDN: dc=example }
        usernamePrefix: 'ldap:'
        groupPrefix: 'ldap:'
locks:
  administrators: { groups: ['oidc:dev', 'oidc:on-call', 'ldap:on-call'] }`,
    )
    const issuing = await createAuthority({ commonName: 'issuing' })
    await writeFile(at('issuing.crt'), issuing.certificatePem)
    await writeFile(at('issuing.key'), issuing.keyPem, SECRET)
    await writeIssuer()
    const [rule] = ALLOW_ALL.rules
    const subjects = { users: ['ldap:ada'], groups: ['oidc:dev', 'oidc:ops', 'ldap:ops'] }
    const rules = [{ ...rule, subjects }]
    await writeFile(at('rules.yaml'), stringify({ ...ALLOW_ALL, rules }))
  })

  test('an allow rule and an administrator of locks are warned of, and names of directories are not', () => {
    const left = (group: string) =>
      `allowedGroups of https://issuer.example leaves out "${group}": no user has it here`
    expect(problems().filter((text) => !text.includes('discovery'))).toEqual([
      expect.stringContaining(`rules[0].subjects.groups[1]: ${left('oidc:ops')}`),
      expect.stringContaining(`locks.administrators.groups[1]: ${left('oidc:on-call')}`),
    ])
  })
})
