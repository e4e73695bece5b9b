import { copyFile, cp, mkdir, mkdtemp, readFile, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LOOPBACK } from '../loopback.ts'
import { freePort } from './free-ports.ts'
import { createKeycloakAdmin, type KeycloakAdmin } from './keycloak-admin.ts'
import {
  KEYCLOAK_ADMINISTRATOR,
  KEYCLOAK_PASSWORD_FILE,
  obtainKeycloak,
} from './keycloak-distribution.ts'
import { createAuthority, issueCertificate } from './pki.ts'
import { createProcessGroup } from './process-group.ts'
import { waitUntil } from './wait-until.ts'

/** What Keycloak only reads, and all instances share. */
const SHARED = ['lib', 'conf', 'providers', 'themes']

/** The part of them that `kc.sh build` changes. */
const BUILT = 'lib'

/** Alone it takes 10 s, and half a minute when it is built first. */
const START_TIMEOUT_MS = 180_000

/** Options of the JVM for a short life: what starts fast, and little memory. */
const JAVA_ENVIRONMENT = {
  JAVA_OPTS_APPEND: '-XX:TieredStopAtLevel=1',
  JAVA_OPTS_KC_HEAP: '-Xms64m -Xmx512m',
}

/** A running Keycloak. */
export interface Keycloak {
  /** `https://127.0.0.1:PORT`; the issuer of a realm is `<url>/realms/<realm>`. */
  url: string
  /** The CA of its serving certificate, as a PEM file and as text. */
  caFile: string
  ca: string
  admin: KeycloakAdmin
  /** Kills it and removes its data. */
  stop: () => Promise<void>
  /** Rejects when it ends without being stopped; never resolves. */
  failed: Promise<never>
}

export interface KeycloakOptions {
  /** PEM files of the CAs that it trusts when it sends something, such as logout tokens. */
  trusted?: readonly string[]
  /** Whether it asks its clients for certificates; those of `trusted` may sign them. It is built for it. */
  requestsCertificates?: boolean
  /** More options of `kc.sh start`. */
  options?: readonly string[]
}

/**
 * Starts Keycloak on a free port of 127.0.0.1, imports a realm (Keycloak's RealmRepresentation, as in
 * its exports) and resolves when it serves. Throws with the last lines of its log when it does not start.
 */
export async function startKeycloak(
  realm: Readonly<Record<string, unknown>>,
  { trusted = [], requestsCertificates = false, options = [] }: KeycloakOptions = {},
): Promise<Keycloak> {
  const distribution = await obtainKeycloak()
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-keycloak-'))
  const group = createProcessGroup(directory)
  try {
    const kc = await createInstance(distribution, join(directory, 'keycloak'), requestsCertificates)
    const authority = await createAuthority(directory, 'ca')
    const serving = { commonName: 'keycloak', hosts: [LOOPBACK] }
    const { certFile, keyFile } = await issueCertificate(authority, directory, 'serving', serving)
    const port = await freePort()
    const url = `https://${LOOPBACK}:${port}`
    const args = [
      ...['start', '--cache=local', `--hostname=${url}`],
      ...(requestsCertificates
        ? ['--db=dev-file', '--https-client-auth=request']
        : ['--optimized']),
      ...[`--http-host=${LOOPBACK}`, `--https-port=${port}`],
      ...[`--https-certificate-file=${certFile}`, `--https-certificate-key-file=${keyFile}`],
      ...options,
      ...(trusted.length === 0 ? [] : [`--truststore-paths=${trusted.join(',')}`]),
    ]
    await group.start('keycloak', kc, args, JAVA_ENVIRONMENT)
    const ca = await readFile(authority.certFile, 'utf8')
    const password = await readFile(join(distribution, KEYCLOAK_PASSWORD_FILE), 'utf8')
    const admin = createKeycloakAdmin({ url, ca, username: KEYCLOAK_ADMINISTRATOR, password })
    const isReady = () => admin('GET', '/realms/master').then(() => true)
    await waitUntil('Keycloak is ready', isReady, group.failed, START_TIMEOUT_MS)
    await admin('POST', '/realms', realm)
    return { url, caFile: authority.certFile, ca, admin, stop: group.stop, failed: group.failed }
  } catch (error) {
    await group.stop()
    throw error
  }
}

/**
 * An instance with data of its own, from a distribution that it does not write to; returns its kc.sh.
 *
 * @param isBuilt whether it is built again, in a place of its own
 */
async function createInstance(
  distribution: string,
  directory: string,
  isBuilt: boolean,
): Promise<string> {
  const data = join('data', 'h2')
  await mkdir(join(directory, data), { recursive: true })
  for (const name of SHARED) {
    if (isBuilt && name === BUILT)
      await cp(join(distribution, name), join(directory, name), { recursive: true })
    else await symlink(join(distribution, name), join(directory, name))
  }
  const database = join(data, 'keycloakdb.mv.db')
  await copyFile(join(distribution, database), join(directory, database))
  // It finds its home by the real path of this script.
  await cp(join(distribution, 'bin', 'kc.sh'), join(directory, 'bin', 'kc.sh'))
  return join(directory, 'bin', 'kc.sh')
}
