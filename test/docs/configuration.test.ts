/** docs/configuration.md, and what it says is read again. */
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { describe, expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'

import { createAuthority } from '../../certs-dev/pki.ts'
import { configurationReference, reloadedFiles } from '../../dev/configuration-reference.ts'
import { rulesSchema } from '../../src/authorization/rules/schema.ts'
import { valueAt, type Path } from '../../src/config/path.ts'
import { configurationSchema } from '../../src/config/schema.ts'
import { ITEM, walkSchema } from '../../src/config/schema-walk.ts'
import { startApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'

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
    const gatehouse = await startWithEveryFile()
    const configuration: unknown = parse(await readFile(gatehouse.file('gatehouse.yaml'), 'utf8'))
    for (const [what, fields] of reloadedFiles()) {
      for (const field of fields) {
        const file = valueAt(configuration, pathOf(field))
        expect(file, `${field} in the configuration of this test`).toBeTypeOf('string')
        const before = gatehouse.log.length
        await appendFile(resolve(gatehouse.directory, String(file)), '\n')
        gatehouse.gatehouse.reload()
        // A new credential is tried first.
        await expect
          .poll(() => [field, reloadsIn(gatehouse.log.slice(before))], { timeout: 10_000 })
          .toEqual([field, [what]])
      }
    }
  }, 60_000)

  test('is all that is watched', async () => {
    const gatehouse = await startWithEveryFile()
    const { values } = await gatehouse.gatehouse.metrics.lastReloadSuccessful.get()
    const watched = values.map(({ labels }) => labels.what)
    expect(watched.toSorted()).toEqual([...reloadedFiles().keys()].toSorted())
  }, 60_000)
})

/** A Gatehouse whose configuration names a file in every field that may name one. */
async function startWithEveryFile(): Promise<TestGatehouse> {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-reference-'))
  const authority = await createAuthority({ commonName: 'users' })
  const sni = await authority.issue({
    commonName: 'sni',
    dnsNames: ['sni.example.com'],
    usages: ['server'],
  })
  const files = {
    'ca.crt': authority.certificatePem,
    'ca.crl': await authority.revoke([]),
    'sni.crt': sni.certificatePem,
    'sni.key': sni.keyPem,
    'serving-ca.crt': authority.certificatePem,
    'redis-ca.crt': authority.certificatePem,
    'redis-password': 'password',
    'state-secret': 'k'.repeat(64),
  }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  const api = await startApiServer()
  const gatehouse = await startTestGatehouse({
    upstream: upstreamOf(api),
    configuration: {
      authentication: {
        x509: { clientCAFile: join(folder, 'ca.crt'), crlFile: join(folder, 'ca.crl') },
      },
      signIn: { caFile: join(folder, 'serving-ca.crt') },
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

function escaped(text: string): string {
  return text.replaceAll(/[.[\]]/g, '\\$&')
}

/** The path of a field of the page, in lists the first item. */
function pathOf(field: string): Path {
  return field
    .replaceAll(ITEM, '.0')
    .split('.')
    .map((part) => (part === '0' ? 0 : part))
}

function reloadsIn(log: readonly string[]): readonly string[] {
  return log
    .map((line) => JSON.parse(line) as { readonly msg: string; readonly what: string })
    .filter(({ msg }) => msg === 'reloaded')
    .map(({ what }) => what)
}
