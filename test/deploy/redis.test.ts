/** deploy/kubernetes-redis: its configuration runs a real Redis, and only Gatehouse can use it. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { Redis } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'

import { createAuthority } from '../../certs-dev/pki.ts'
import { LOOPBACK } from '../../dev/loopback.ts'
import { configurationSchema } from '../../src/config/schema.ts'
import { hasRedis, startRedis } from '../support/redis.ts'
import { openStore } from '../support/redis-store.ts'

const root = resolve(import.meta.dirname, '../..')
const text = await readFile(join(root, 'deploy/kubernetes-redis/redis.yaml'), 'utf8')
const comments = text.replaceAll(/^(?!#).*$/gm, '').replaceAll(/^# ?/gm, '')

interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly data?: Readonly<Record<string, string>>
}

const manifests = parseAllDocuments(text).map((document) => document.toJS() as Manifest)

test('its part of gatehouse.yaml is valid, and names files that the Deployment mounts', async () => {
  const block = /^state:\n(?: .*\n)+/m.exec(comments.replaceAll(/^ {2}(?=state:| {2})/gm, ''))?.[0]
  const { state } = parse(block ?? '') as { state: unknown }
  const parsed = configurationSchema.shape.state.parse(state)
  expect(parsed).toMatchObject({ type: 'redis', redis: { username: 'gatehouse' } })
  for (const file of ['redis-password', 'redis-ca.crt', 'state-secret']) {
    expect(JSON.stringify(parsed)).toContain(`"${file}"`)
  }
  const deployment = await readFile(join(root, 'deploy/kubernetes/30-deployment.yaml'), 'utf8')
  expect(deployment).toMatch(/- secret:\n +name: gatehouse-redis\n +optional: true/)
})

test('its ACL rules are those of the documentation', async () => {
  const documented = await readFile(join(root, 'docs/operations.md'), 'utf8')
  const rules = /^user gatehouse on .*$/m
  expect(rules.exec(comments.replaceAll(/^ +/gm, ''))?.[0]).toBe(rules.exec(documented)?.[0])
})

test('its ACL rules allow every command of every script', async () => {
  const files = execFileSync('git', ['ls-files', 'src/*.ts'], { cwd: root, encoding: 'utf8' })
  const sources = await Promise.all(
    files
      .trim()
      .split('\n')
      .map((file) => readFile(join(root, file), 'utf8')),
  )
  const commands = sources.flatMap((source) =>
    Array.from(source.matchAll(/redis\.call\('(\w+)'/g), ([, name = '']) => name.toLowerCase()),
  )
  expect(commands.length).toBeGreaterThan(10)
  const rules = /^ *user gatehouse on .*$/m.exec(comments)?.[0].trim().split(' ') ?? []
  expect([...new Set(commands)].filter((name) => !rules.includes(`+${name}`))).toEqual([])
})

test.skipIf(!hasRedis)('its Redis serves Gatehouse over TLS, and nobody else', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-deploy-redis-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const at = (name: string) => join(folder, name)
  const authority = await createAuthority({ commonName: 'redis-ca' })
  const { certificatePem, keyPem } = await authority.issue({
    commonName: 'redis',
    dnsNames: ['redis.gatehouse.svc'],
    ipAddresses: [LOOPBACK],
    usages: ['server'],
  })
  const digest = createHash('sha256').update('secret').digest('hex')
  const acl = /^ *user default off\n *user gatehouse .*$/m.exec(comments)?.[0] ?? ''
  const users = acl.replaceAll(/^ +/gm, '').replace('SHA256-OF-THE-PASSWORD', digest)
  const { data = {} } = manifests.find(({ kind }) => kind === 'ConfigMap') ?? {}
  const mounted = {
    ...data,
    'tls.crt': certificatePem,
    'tls.key': keyPem,
    'users.acl': `${users}\n`,
  }
  for (const [name, content] of Object.entries(mounted)) {
    const local = content.replaceAll('/etc/redis', folder).replace('dir /data', `dir ${at('data')}`)
    await writeFile(at(name), local)
  }
  await mkdir(at('data'))
  // Its own port is another one than in the pod; so is the one without TLS, where nobody listens.
  const redis = await startRedis([at('redis.conf')], { isTls: true })
  onTestFinished(() => redis.close())
  const { store } = openStore(redis.port, {
    ...{ username: 'gatehouse', password: 'secret', ca: authority.certificatePem },
    keyPrefix: 'gatehouse:',
  })
  onTestFinished(() => store.close())
  await expect.poll(() => store.problem).toBeUndefined()

  const unauthenticated = new Redis({
    ...{ host: LOOPBACK, port: redis.port, lazyConnect: true, retryStrategy: () => null },
    tls: { ca: authority.certificatePem },
    protocol: 2,
  })
  unauthenticated.on('error', () => undefined)
  onTestFinished(() => unauthenticated.disconnect())
  await unauthenticated.connect().catch(() => undefined)
  await expect(unauthenticated.get('gatehouse:{x}:read')).rejects.toThrow(/NOAUTH|closed/)
})
