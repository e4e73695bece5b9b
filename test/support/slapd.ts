/** A real OpenLDAP server (Debian slapd) on loopback, with TLS, users, and groups in groups. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { Attribute, Change, Client } from 'ldapts'

import { createAuthority } from '../../certs-dev/pki.ts'
import { acceptsConnections } from '../../dev/accepts-connections.ts'
import { freePorts } from '../../dev/parts/free-ports.ts'
import { command } from './command.ts'

const SLAPD = '/usr/sbin/slapd'
export const hasSlapd = existsSync(SLAPD)
if (!hasSlapd) process.stderr.write('\n*** SKIPPED, not tested: LDAP. Install slapd. ***\n\n')

export interface TestDirectory {
  /** `ldaps://localhost:port`, and `ldap://localhost:port`. */
  readonly secureUrl: string
  readonly plainUrl: string
  /** PEM. */
  readonly ca: string
  readonly bindDN: string
  readonly bindPassword: string
  readonly password: string
  /**
   * All that the server has logged of what was answered before the call: one line for each operation, never a
   * password.
   */
  readonly log: () => Promise<string>
  /** Adds and removes members of a group, as its administrator. */
  changeMembers(
    cn: string,
    change: { readonly add?: string; readonly remove?: string },
  ): Promise<void>
  stop(): Promise<void>
}

const BASE = 'dc=example,dc=com'
const PASSWORD = 'correct horse'
const ROOT_DN = `cn=root,${BASE}`
const ROOT_PASSWORD = 'root secret'
const BIND_PASSWORD = 'service secret'

export const user = (uid: string, rdn = `uid=${uid}`): string => `dn: ${rdn},ou=people,${BASE}
objectClass: inetOrgPerson
uid: ${uid}
cn: ${uid}
sn: ${uid}
employeeNumber: E-${uid}
userPassword: ${PASSWORD}
`
export const group = (
  cn: string,
  members: readonly string[],
): string => `dn: cn=${cn},ou=groups,${BASE}
objectClass: groupOfNames
cn: ${cn}
${members.map((member) => `member: ${member}`).join('\n')}
`
export const personDN = (uid: string): string => `uid=${uid},ou=people,${BASE}`
export const groupDN = (cn: string): string => `cn=${cn},ou=groups,${BASE}`

const LDIF = [
  `dn: ${BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: example\n`,
  ...['people', 'groups'].map(
    (ou) => `dn: ou=${ou},${BASE}\nobjectClass: organizationalUnit\nou: ${ou}\n`,
  ),
  `dn: cn=gatehouse,${BASE}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: gatehouse\nuserPassword: ${BIND_PASSWORD}\n`,
  user('ada'),
  user('grace'),
  // Two entries with one uid, and a name that a filter must not read as syntax.
  user('twin', 'cn=first'),
  user('twin', 'cn=second'),
  user('a*(b)\\c', 'cn=odd'),
  group('developers', [personDN('ada')]),
  group('engineering', [groupDN('developers')]),
  // A cycle.
  group('everyone', [groupDN('engineering'), groupDN('all')]),
  group('all', [groupDN('everyone')]),
  group('operators', [personDN('grace')]),
  // Not clear who this is.
  user('double').replace('uid: double', 'uid: double\nuid: other'),
  // More levels than are walked.
  user('deep'),
  group('level-0', [personDN('deep')]),
  ...Array.from({ length: 11 }, (_, i) => group(`level-${i + 1}`, [groupDN(`level-${i}`)])),
  user('busy'),
  group('first', [personDN('busy')]),
  group('second', [personDN('busy')]),
].join('\n')

export interface DirectoryTestOptions {
  /** More entries, in LDIF. */
  readonly ldif?: string
  /** Of the service account, as in slapd.conf(5). */
  readonly limits?: string
  /** More lines of slapd.conf, for the database. */
  readonly settings?: string
}

/** Starts a server; its folder is removed when it stops. */
export async function startDirectory({
  ldif = '',
  limits = '',
  settings = '',
}: DirectoryTestOptions = {}): Promise<TestDirectory> {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-slapd-'))
  const at = (name: string): string => join(folder, name)
  const authority = await createAuthority({ commonName: 'directory CA' })
  const serving = await authority.issue({
    ...{ commonName: 'directory', dnsNames: ['localhost'], usages: ['server'] },
  })
  await mkdir(at('data'))
  const [plain = 0, secure = 0] = await freePorts(2)
  await Promise.all([
    writeFile(at('ca.crt'), authority.certificatePem),
    writeFile(at('tls.crt'), serving.certificatePem),
    writeFile(at('tls.key'), serving.keyPem, { mode: 0o600 }),
    writeFile(at('data.ldif'), `${LDIF}\n${ldif}`),
    writeFile(
      at('slapd.conf'),
      `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile ${at('slapd.pid')}
TLSCACertificateFile ${at('ca.crt')}
TLSCertificateFile ${at('tls.crt')}
TLSCertificateKeyFile ${at('tls.key')}
# As directories should: no simple bind without TLS.
security simple_bind=128
database mdb
suffix "${BASE}"
rootdn "${ROOT_DN}"
rootpw "${ROOT_PASSWORD}"
directory ${at('data')}
${limits === '' ? '' : `limits dn.exact="cn=gatehouse,${BASE}" ${limits}`}
access to attrs=userPassword by anonymous auth by * none
${settings}
access to * by dn.exact="cn=gatehouse,${BASE}" read by * none
`,
    ),
  ])
  const added = await command('/usr/sbin/slapadd', [
    '-q',
    '-f',
    at('slapd.conf'),
    '-l',
    at('data.ldif'),
  ])
  if (added.code !== 0) throw new Error(`slapadd: ${added.stderr}`)
  const urls = `ldap://127.0.0.1:${plain} ldaps://127.0.0.1:${secure}`
  const child = spawn(SLAPD, ['-d', 'stats', '-h', urls, '-f', at('slapd.conf')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()))
  const ended = new Promise((resolve) => child.once('exit', resolve))
  await listening(secure)
  return {
    secureUrl: `ldaps://localhost:${secure}`,
    plainUrl: `ldap://localhost:${plain}`,
    ca: authority.certificatePem,
    bindDN: `cn=gatehouse,${BASE}`,
    bindPassword: BIND_PASSWORD,
    password: PASSWORD,
    async log() {
      const address = await touched(plain)
      while (!log.includes(`ACCEPT from IP=${address} `)) await once(child.stderr, 'data')
      return log
    },
    async changeMembers(cn, { add, remove }) {
      const client = new Client({
        url: `ldaps://localhost:${secure}`,
        tlsOptions: { ca: authority.certificatePem },
      })
      const change = (operation: 'add' | 'delete', value: string) =>
        new Change({ operation, modification: new Attribute({ type: 'member', values: [value] }) })
      await client.bind(ROOT_DN, ROOT_PASSWORD)
      await client.modify(groupDN(cn), [
        ...(add === undefined ? [] : [change('add', add)]),
        ...(remove === undefined ? [] : [change('delete', remove)]),
      ])
      await client.unbind()
    },
    async stop() {
      child.kill()
      await ended
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Connects once, so that the log gets a line. @returns the address and port that the server logs */
async function touched(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const address = `127.0.0.1:${socket.localPort}`
  socket.destroy()
  return address
}

async function listening(port: number): Promise<void> {
  for (let i = 0; i < 1_200; i++) {
    if (await acceptsConnections(port)) return
    await sleep(50)
  }
  throw new Error('slapd does not listen')
}

/** `groupSource` of an issuer whose tokens name users by `uid`, and the files that it names. */
export function groupSourceConfiguration(slapd: TestDirectory, overrides: object = {}) {
  const groupSource = {
    ldap: {
      servers: [slapd.secureUrl],
      bindDN: slapd.bindDN,
      bindPasswordFile: 'ldap-password',
      users: { baseDN: `ou=people,${BASE}` },
      groups: { baseDN: `ou=groups,${BASE}`, nested: 'walk' },
    },
    userClaim: 'sub',
    certificateAuthorityFile: 'ldap-ca.crt',
    ...overrides,
  }
  return { groupSource, files: filesOf(slapd) }
}

const filesOf = (slapd: TestDirectory) => ({
  'ldap-ca.crt': slapd.ca,
  'ldap-password': `${slapd.bindPassword}\n`,
})

/** The entry in `authentication.issuedCertificates.directories`, and the files that it names. */
export function directoryConfiguration(slapd: TestDirectory, overrides: object = {}) {
  const directory = {
    name: 'company-ldap',
    servers: [slapd.secureUrl],
    caFile: 'ldap-ca.crt',
    bindDN: slapd.bindDN,
    bindPasswordFile: 'ldap-password',
    users: { baseDN: `ou=people,${BASE}`, uidAttribute: 'employeeNumber' },
    groups: { baseDN: `ou=groups,${BASE}`, nested: 'walk' },
    usernamePrefix: 'ldap:',
    groupPrefix: 'ldap:',
    ...overrides,
  }
  return { directory, files: filesOf(slapd) }
}
