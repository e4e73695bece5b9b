import { execFile } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { writeDevelopmentCertificates } from '../../certs-dev/generate.ts'

const run = promisify(execFile)
const root = resolve(import.meta.dirname, '../..')
let folder = ''

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-certs-'))
})
afterEach(() => rm(folder, { recursive: true }))

async function certificate(file: string): Promise<X509Certificate> {
  return new X509Certificate(await readFile(file))
}

describe('the development certificates', () => {
  test('are each signed by their own authority and by no other', async () => {
    const made = await writeDevelopmentCertificates(join(folder, 'new', 'folder'))
    const authorities = [made.ca, made.clientCA, made.upstreamCA]
    const leaves = [made.serving, made.client, made.upstream]
    const signed = await Promise.all(
      leaves.map(async (leaf) =>
        Promise.all(
          authorities.map(async (authority) =>
            (await certificate(leaf.certFile)).verify(
              (await certificate(authority.certFile)).publicKey,
            ),
          ),
        ),
      ),
    )
    expect(signed).toEqual([
      [true, false, false],
      [false, true, false],
      [false, false, true],
    ])
  })

  test('are issued to loopback, the user with a group, and Gatehouse', async () => {
    const made = await writeDevelopmentCertificates(folder)
    const serving = await certificate(made.serving.certFile)
    expect(serving.subjectAltName).toBe(
      'DNS:localhost, DNS:login.localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
    )
    expect((await certificate(made.client.certFile)).subject).toBe('O=developers\nCN=ada')
    expect((await certificate(made.upstream.certFile)).subject).toBe('CN=gatehouse')
    expect(await readFile(made.clientCRLFile, 'utf8')).toMatch(/^-----BEGIN X509 CRL-----\n/)
  })

  test('are replaced by new ones in a second run', async () => {
    const first = await writeDevelopmentCertificates(folder)
    const before = await readFile(first.client.certFile, 'utf8')
    const { client } = await writeDevelopmentCertificates(folder)
    expect(await readFile(client.certFile, 'utf8')).not.toBe(before)
    expect((await stat(client.keyFile)).mode & 0o777).toBe(0o600)
  })
})

test('npm run certs writes to the given folder and prints the path of each file', async () => {
  const { stdout } = await run(process.execPath, [join(root, 'certs-dev/main.ts'), folder])
  const files = await readdir(folder)
  expect(files.sort()).toEqual([
    'ca.crt',
    'ca.key',
    'client-ca.crl',
    'client-ca.crt',
    'client-ca.key',
    'client.crt',
    'client.key',
    'serving.crt',
    'serving.key',
    'upstream-ca.crt',
    'upstream-ca.key',
    'upstream.crt',
    'upstream.key',
  ])
  for (const file of files) expect(stdout).toContain(join(folder, file))
  const { validToDate } = await certificate(join(folder, 'serving.crt'))
  expect(stdout).toContain(`valid until ${validToDate.toISOString().slice(0, 10)}`)
  expect(stdout).toContain('for loopback only')
})

test('npm run certs writes to a folder that git ignores by default', async () => {
  const { stdout } = await run(process.execPath, [join(root, 'certs-dev/main.ts'), '--help'])
  expect(stdout.replaceAll(/\s+/g, '')).toContain(join(root, 'certs-dev/generated'))
  expect(await readFile(join(root, '.gitignore'), 'utf8')).toContain('\ncerts-dev/generated/\n')
})
