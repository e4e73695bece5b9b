/**
 * A real Active Directory domain controller (Samba) on a loopback address of its own, since it listens on fixed
 * ports: a new domain with users, and groups in groups.
 */
import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { Attribute, Change, Client } from 'ldapts'

import { createAuthority } from '../../certs-dev/pki.ts'
import { command } from './command.ts'

const SAMBA = '/usr/sbin/samba'
/** Ports below 1024 are for root. */
export const hasSamba =
  existsSync(SAMBA) &&
  existsSync('/usr/share/samba/setup/provision.ldif') &&
  process.getuid?.() === 0
if (!hasSamba) {
  process.stderr.write(
    '\n*** SKIPPED, not tested: Active Directory. Install samba-ad-dc and samba-ad-provision, and be root. ***\n\n',
  )
}

export const BASE = 'DC=ad,DC=example,DC=com'
export const PEOPLE = `OU=People,${BASE}`
export const GROUPS = `OU=Groups,${BASE}`
/** Of all users. */
export const PASSWORD = 'Correct-h0rse'
const BIND_DN = `CN=gatehouse,OU=Services,${BASE}`
const BIND_PASSWORD = 'Service-s3cret'
const ADMIN_PASSWORD = 'Administrator-s3cret'
/** [MS-ADTS] section 2.2.16. */
const NORMAL_ACCOUNT = '512'
const DISABLED_ACCOUNT = '514'
/** [MS-ADTS] section 2.2.12: a security group for the whole forest. */
const UNIVERSAL = '-2147483640'
/** A page of Gatehouse's search has 500. */
const MANY = 600

export interface DomainController {
  /** `ldaps://`, and `ldap://` for StartTLS. */
  readonly secureUrl: string
  readonly plainUrl: string
  /** PEM. */
  readonly ca: string
  readonly bindDN: string
  readonly bindPassword: string
  /** Of the group with this name. */
  changeMembers(
    name: string,
    change: { readonly add?: string; readonly remove?: string },
  ): Promise<void>
  /** Locks accounts after so many wrong passwords. */
  lockAfter(failures: number): Promise<void>
  stop(): Promise<void>
}

/** Starts a domain controller, in about half a minute; its folder is removed when it stops. */
export async function startDomainController(): Promise<DomainController> {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-samba-'))
  const at = (name: string): string => join(folder, name)
  const host = `127.${randomInt(64, 128)}.${randomInt(256)}.${randomInt(1, 255)}`
  const authority = await createAuthority({ commonName: 'domain CA' })
  const serving = await authority.issue({
    ...{ commonName: 'dc1.ad.example.com', dnsNames: ['dc1.ad.example.com'] },
    ...{ ipAddresses: [host], usages: ['server'] },
  })
  await Promise.all([
    writeFile(at('ca.crt'), authority.certificatePem),
    writeFile(at('tls.crt'), serving.certificatePem),
    writeFile(at('tls.key'), serving.keyPem, { mode: 0o600 }),
    // Instead of the machine's own.
    writeFile(at('smb.conf'), '[global]\n'),
  ])
  await provision(folder, host)
  const child = spawn(
    SAMBA,
    ['--interactive', '--model=single', '--debug-stdout', `--configfile=${at('dc/etc/smb.conf')}`],
    // It ends with its standard input.
    { stdio: ['pipe', 'ignore', 'ignore'] },
  )
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const secureUrl = `ldaps://${host}`
  const asAdministrator = async <T>(work: (client: Client) => Promise<T>): Promise<T> => {
    const client = new Client({ url: secureUrl, tlsOptions: { ca: authority.certificatePem } })
    try {
      await client.bind(`CN=Administrator,CN=Users,${BASE}`, ADMIN_PASSWORD)
      return await work(client)
    } finally {
      await client.unbind()
    }
  }
  const stop = async (): Promise<void> => {
    child.kill()
    await ended
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await untilItWorks(() => asAdministrator(fill))
  } catch (error) {
    await stop()
    throw error
  }
  return {
    ...{ secureUrl, plainUrl: `ldap://${host}`, ca: authority.certificatePem, stop },
    bindDN: BIND_DN,
    bindPassword: BIND_PASSWORD,
    async changeMembers(name, { add, remove }) {
      await asAdministrator((client) =>
        client.modify(groupDN(name), [
          ...(add === undefined ? [] : [change('add', 'member', add)]),
          ...(remove === undefined ? [] : [change('delete', 'member', remove)]),
        ]),
      )
    },
    async lockAfter(failures) {
      await asAdministrator((client) =>
        client.modify(BASE, [change('replace', 'lockoutThreshold', String(failures))]),
      )
    },
  }
}

async function provision(folder: string, host: string): Promise<void> {
  const options = {
    'server services': 'ldap',
    interfaces: `${host}/8`,
    'bind interfaces only': 'yes',
    'tls cafile': join(folder, 'ca.crt'),
    'tls certfile': join(folder, 'tls.crt'),
    'tls keyfile': join(folder, 'tls.key'),
    // It is removed after the tests.
    'ldb:nosync': 'true',
  }
  const { code, stdout, stderr } = await command('samba-tool', [
    ...['domain', 'provision', `--configfile=${join(folder, 'smb.conf')}`],
    ...[`--targetdir=${join(folder, 'dc')}`, '--realm=AD.EXAMPLE.COM', '--domain=AD'],
    ...['--host-name=dc1', '--host-ip=127.0.0.1', '--server-role=dc', '--dns-backend=NONE'],
    `--adminpass=${ADMIN_PASSWORD}`,
    ...Object.entries(options).map(([name, value]) => `--option=${name}=${value}`),
  ])
  if (code !== 0) throw new Error(`samba-tool domain provision: ${stdout}${stderr}`)
}

/** Samba listens before it has loaded the domain. */
async function untilItWorks(work: () => Promise<void>): Promise<void> {
  for (let i = 0; ; i++) {
    try {
      await work()
      return
    } catch (error) {
      if (i === 300 || (error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') throw error
      await sleep(200)
    }
  }
}

const change = (operation: 'add' | 'delete' | 'replace', type: string, value: string): Change =>
  new Change({ operation, modification: new Attribute({ type, values: [value] }) })

export const personDN = (cn: string): string => `CN=${cn},${PEOPLE}`
export const groupDN = (name: string): string => `CN=${name},${GROUPS}`

async function fill(client: Client): Promise<void> {
  for (const name of ['People', 'Groups', 'Services']) {
    await client.add(`OU=${name},${BASE}`, { objectClass: 'organizationalUnit' })
  }
  const addUser = (
    dn: string,
    account: string,
    { password = PASSWORD, control = NORMAL_ACCOUNT, domain = 'ad.example.com' } = {},
  ) =>
    client.add(dn, [
      new Attribute({ type: 'objectClass', values: ['user'] }),
      new Attribute({ type: 'sAMAccountName', values: [account] }),
      new Attribute({ type: 'userPrincipalName', values: [`${account}@${domain}`] }),
      // [MS-ADTS] section 3.1.1.3.1.5.1.
      new Attribute({ type: 'unicodePwd', values: [Buffer.from(`"${password}"`, 'utf16le')] }),
      new Attribute({ type: 'userAccountControl', values: [control] }),
    ])
  const addGroup = (name: string, members: readonly string[], more: object = {}) =>
    client.add(groupDN(name), {
      ...{ objectClass: 'group', sAMAccountName: name, member: [...members], ...more },
    })
  await addUser(BIND_DN, 'gatehouse', { password: BIND_PASSWORD })
  // In a filter, the DN has characters with a meaning.
  await addUser(personDN('Lovelace\\, Ada (R*D)'), 'ada')
  await addUser(personDN('Grace Hopper'), 'grace', { domain: 'example.com' })
  await addUser(personDN('Eve'), 'eve', { control: DISABLED_ACCOUNT })
  await addUser(personDN('Heidi'), 'heidi')
  await addUser(personDN('Busy'), 'busy')
  await addGroup('developers', [personDN('Lovelace\\, Ada (R*D)')])
  await addGroup('engineering', [groupDN('developers')], { groupType: UNIVERSAL })
  await addGroup('everyone', [groupDN('engineering')], { groupType: UNIVERSAL })
  await client.modify(groupDN('engineering'), [change('add', 'member', groupDN('everyone'))])
  await addGroup('operators', [personDN('Grace Hopper'), personDN('Eve')])
  for (let i = 0; i < MANY; i++) await addGroup(`many-${i}`, [personDN('Busy')])
}
