import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { createAuthority, issueCertificate } from '../../dev/parts/pki.ts'
import { loadAll, type Loaded } from '../../src/gatehouse/load.ts'
import { find, podTemplate, readManifests, writeConfigVolume } from '../support/manifests.ts'

const shippedRules = resolve(import.meta.dirname, '../../config/rules.yaml')

/** The fields of a NetworkPolicy that are read here. */
interface Egress {
  readonly egress?: readonly {
    readonly to: readonly { readonly namespaceSelector?: object }[]
    readonly ports: readonly { readonly port: number }[]
  }[]
}

/** deploy/kubernetes, as Gatehouse sees it in its pod. */
describe('the configuration of the manifests', () => {
  let folder: string
  let loaded: Loaded

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-deploy-'))
    const authority = await createAuthority(folder, 'ca')
    const serving = await issueCertificate(authority, folder, 'serving', {
      commonName: 'gatehouse',
      hosts: ['gatehouse.gatehouse.svc'],
    })
    const [ca, certificate, key] = await Promise.all(
      [authority.certFile, serving.certFile, serving.keyFile].map((file) => readFile(file, 'utf8')),
    )
    const configFile = await writeConfigVolume(join(folder, 'etc'), await readManifests(), {
      'gatehouse-serving': { 'tls.crt': certificate!, 'tls.key': key! },
      'gatehouse-client-ca': { 'ca.crt': ca! },
    })
    await writeFile(join(folder, 'ca.crt'), ca!)
    await writeFile(join(folder, 'token'), 'service-account-token')
    loaded = loadAll(configFile, { inCluster: { host: '10.0.0.1', port: '443', folder } })
  })

  afterAll(() => rm(folder, { recursive: true }))

  test('is complete, with the credential of the pod', () => {
    expect(loaded.rules.value.warnings).toEqual([])
    expect(loaded.credential.value).toMatchObject({
      token: 'service-account-token',
      endpoint: { host: '10.0.0.1' },
    })
  })

  test('listens on the ports of the Service and the probes', async () => {
    const { listener, probes } = loaded.configuration
    const { ports } = await container()
    expect(ports).toEqual([
      { name: 'https', containerPort: listener.port },
      { name: 'probes', containerPort: probes.port },
    ])
    expect([listener.address, probes.address]).toEqual(['0.0.0.0', '0.0.0.0'])
  })

  test('shuts down before the kubelet kills the process', async () => {
    const { delay, gracePeriod } = loaded.configuration.shutdown
    const { terminationGracePeriodSeconds } = podTemplate(await readManifests()).spec
    expect(terminationGracePeriodSeconds * 1_000).toBeGreaterThan(delay + gracePeriod)
  })

  test('reaches an issuer in the cluster at the usual ports of Dex and Keycloak', async () => {
    const policies = (await readManifests()).filter(({ kind }) => kind === 'NetworkPolicy')
    const egress = policies.flatMap(({ spec }) => (spec as Egress | undefined)?.egress ?? [])
    const toAnyPod = egress.filter(({ to }) =>
      to.some(({ namespaceSelector }) => JSON.stringify(namespaceSelector) === '{}'),
    )
    const ports = toAnyPod.flatMap((rule) => rule.ports.map(({ port }) => port))
    expect(ports).toEqual([5554, 5556, 8443])
  })

  test('has the same rules as config/rules.yaml', async () => {
    const { data } = find(await readManifests(), 'ConfigMap', 'gatehouse-rules')
    const deployed = parse(data?.['rules.yaml'] ?? '') as { default: string; rules: object[] }
    const shipped = parse(await readFile(shippedRules, 'utf8')) as typeof deployed
    expect(deployed.rules).not.toEqual([])
    expect([deployed.default, deployed.rules]).toEqual([shipped.default, shipped.rules])
  })

  async function container() {
    return podTemplate(await readManifests()).spec.containers[0]!
  }
})
