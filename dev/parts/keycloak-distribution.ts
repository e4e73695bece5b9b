import { createHash, randomBytes } from 'node:crypto'
import { execFile } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { findProgram } from '../find-program.ts'
import { binaryPath, buildOnce, isExecutable, sourceDirectory } from './cache.ts'
import type { Availability } from './parts.ts'
import { report } from './report.ts'
import { versions } from './versions.ts'

const run = promisify(execFile)

/** What Maven Central has under this version. */
const SHA256 = '27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f'

/** Maven may wait for a network that is not there. */
const FETCH_TIMEOUT_MS = 300_000

/** Characters of an error in the line that says what is skipped. */
const MAX_REASON = 500

/** The oldest Java that Keycloak runs on. */
const OLDEST_JAVA = 17

/** Options of `kc.sh build`. They are part of the name in the cache. */
const BUILD_OPTIONS = ['--db=dev-file', '--cache=local', '--features=ssf']

/** The administrator of the prepared database, in its realm `master`. */
export const KEYCLOAK_ADMINISTRATOR = 'gatehouse'

/** The file below {@link keycloakPath} with the administrator's password. */
export const KEYCLOAK_PASSWORD_FILE = 'administrator-password'

/** The folder of the prepared Keycloak in the cache, whether it exists or not. */
export function keycloakPath(): string {
  const options = createHash('sha256').update(JSON.stringify(BUILD_OPTIONS)).digest('hex')
  return binaryPath('keycloak', `${versions.keycloak}-${options.slice(0, 8)}`)
}

/** Obtains Keycloak, or says in a line to print why it cannot be had. Never throws. */
export async function keycloakAvailable(): Promise<Availability> {
  const obstacle =
    (await obstacleOf()) ??
    (await obtainKeycloak().then(
      () => undefined,
      (error: unknown) => String(error).replaceAll(/\s+/g, ' ').slice(0, MAX_REASON),
    ))
  if (obstacle === undefined) return { available: true }
  const reason = `SKIPPED, not tested: Keycloak ${versions.keycloak} cannot be had: ${obstacle}. It needs Java ${OLDEST_JAVA} or newer, Maven and unzip.`
  return { available: false, reason }
}

/** Why Keycloak cannot run here, or cannot be fetched; undefined if both seem possible. */
async function obstacleOf(): Promise<string | undefined> {
  if (!(await hasJava())) return `there is no Java ${OLDEST_JAVA} or newer`
  if (await isExecutable(keycloakPath())) return undefined
  for (const name of ['mvn', 'unzip']) {
    if ((await findProgram(name, process.env['PATH'] ?? '')) === undefined) {
      return `${name} is not installed`
    }
  }
  return undefined
}

/**
 * Fetches Keycloak with Maven and prepares it in the cache, if it is not there yet: with its options
 * built in and the tables of its database made, it starts in a quarter of the time. Returns its folder,
 * which nothing writes to afterwards. Throws with the output of the step that failed.
 */
export function obtainKeycloak(): Promise<string> {
  return buildOnce(keycloakPath(), async (folder) => {
    const started = Date.now()
    report(`fetching and preparing Keycloak ${versions.keycloak} (once; the cache keeps it)`)
    const source = await sourceDirectory('keycloak', versions.keycloak)
    try {
      await run('unzip', ['-q', '-o', await fetchArchive(source), '-d', source])
      await rename(join(source, `keycloak-${versions.keycloak}`), folder)
    } finally {
      await rm(source, { recursive: true })
    }
    const password = randomBytes(24).toString('base64url')
    // Nothing else of the user's environment, in which Keycloak and Java look for options.
    const env = { PATH: process.env['PATH'], HOME: folder, PASSWORD: password }
    const kc = join(folder, 'bin', 'kc.sh')
    const administrator = ['--username', KEYCLOAK_ADMINISTRATOR, '--password:env', 'PASSWORD']
    await run(kc, ['build', ...BUILD_OPTIONS], { env })
    await run(kc, ['bootstrap-admin', 'user', '--optimized', ...administrator], { env })
    await writeFile(join(folder, KEYCLOAK_PASSWORD_FILE), password, { mode: 0o600 })
    report(`prepared Keycloak in ${Math.round((Date.now() - started) / 1000)} s`)
  })
}

/** Fetches the archive into a repository of its own below `source`, and verifies it. */
async function fetchArchive(source: string): Promise<string> {
  const repository = join(source, 'maven')
  const artifact = `org.keycloak:keycloak-quarkus-dist:${versions.keycloak}:zip`
  const args = [
    ...['--batch-mode', '--quiet', '--strict-checksums', `-Dmaven.repo.local=${repository}`],
    ...['dependency:get', `-Dartifact=${artifact}`, '-Dtransitive=false'],
  ]
  await run('mvn', args, { timeout: FETCH_TIMEOUT_MS })
  const name = `keycloak-quarkus-dist-${versions.keycloak}.zip`
  const file = join(repository, 'org/keycloak/keycloak-quarkus-dist', versions.keycloak, name)
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  const digest = hash.digest('hex')
  if (digest !== SHA256) throw new Error(`${name} has the SHA-256 ${digest}, not ${SHA256}`)
  return file
}

async function hasJava(): Promise<boolean> {
  try {
    const { stderr } = await run('java', ['-version'])
    return Number(/version "(\d+)/.exec(stderr)?.[1]) >= OLDEST_JAVA
  } catch {
    return false
  }
}
