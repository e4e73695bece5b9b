import { readFile, writeFile } from 'node:fs/promises'

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'

import { validate } from '../../src/cli/validate.ts'
import type { InClusterEnvironment } from '../../src/config/environment.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'

const NO_POD: InClusterEnvironment = { host: '', port: '443', folder: '/nowhere' }

let api: ApiServer
let site: TestGatehouse

beforeAll(async () => {
  api = await startApiServer()
  site = await startTestGatehouse({ upstream: upstreamOf(api) })
  await site.gatehouse.close(true)
})

afterAll(async () => {
  await site.close()
  await api.close()
})

beforeEach(() => {
  site.issuer.overrides.clear()
  site.issuer.discovery = {}
})

/** The configuration of the site with changed members of `upstream`. */
async function configurationWith(upstream: Record<string, unknown>): Promise<string> {
  const text = await readFile(site.file('gatehouse.yaml'), 'utf8')
  const file = site.file('changed.yaml')
  await writeFile(file, stringify({ ...(parse(text) as object), upstream }))
  return file
}

async function run(configFile: string, online = false, inCluster = NO_POD) {
  let stdout = ''
  let stderr = ''
  const code = await validate(
    { configFile, inCluster, online },
    {
      stdout: { write: (text) => (stdout += text) },
      stderr: { write: (text) => (stderr += text) },
    },
  )
  return { code, stdout, stderr }
}

describe('a configuration for a pod', () => {
  test('is valid outside of a pod, with a warning that names what was not checked', async () => {
    const file = await configurationWith({ inCluster: true })
    const { code, stdout, stderr } = await run(file)
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${file} is valid\n` })
    expect(stderr.replace(/:\d+:\d+:/, ':LINE:')).toBe(
      `warning: ${file}:LINE: upstream.inCluster: /nowhere was not checked: ` +
        'not running in a pod, KUBERNETES_SERVICE_HOST is not set ' +
        '(run gatehouse validate --online in the pod to check it, too)\n',
    )
  })

  test('is valid in a pod without a service account token, as CI runs in', async () => {
    const file = await configurationWith({ inCluster: true })
    const pod = { host: '10.0.0.1', port: '443', folder: site.directory }
    const { code, stderr } = await run(file, false, pod)
    expect(code).toBe(0)
    expect(stderr).toContain('was not checked: this pod has no service account token')
  })

  test('is checked with the service account of the pod that it runs in', async () => {
    const file = await configurationWith({ inCluster: true })
    await writeFile(site.file('token'), '')
    const pod = { host: '10.0.0.1', port: '443', folder: site.directory }
    const { code, stderr } = await run(file, false, pod)
    expect(code).toBe(2)
    expect(stderr).toContain(`${site.file('token')} is empty`)
  })

  test('still has its other problems reported', async () => {
    const file = await configurationWith({ inCluster: true, kubeconfig: 'upstream.kubeconfig' })
    expect(await run(file)).toMatchObject({ code: 2 })
  })

  test('needs the pod for the online checks', async () => {
    const file = await configurationWith({ inCluster: true })
    const { code, stderr } = await run(file, true)
    expect(code).toBe(2)
    expect(stderr).toContain('not running in a pod, KUBERNETES_SERVICE_HOST is not set')
  })
})

describe('validate --online', () => {
  test('reports every check and exits with 0 if all pass', async () => {
    const file = site.file('gatehouse.yaml')
    expect(await run(file, true)).toEqual({
      code: 0,
      stdout:
        `${file} is valid\n[+]jwks ${site.issuer.url} ok\n[+]upstream-reachable ok\n` +
        '[+]upstream-rejects-anonymous ok\n[+]upstream-asserts-identity ok\n',
      stderr: '',
    })
  })

  test('exits with 1 if the keys of an issuer cannot be loaded, though users can sign in otherwise', async () => {
    site.issuer.discovery = { issuer: 'https://other.example' }
    const { code, stderr } = await run(site.file('gatehouse.yaml'), true)
    expect(code).toBe(1)
    expect(stderr).toMatch(/^\[-\]jwks https:\S+ failed: .* names another issuer: /)
    expect(stderr).toMatch(/\n1 online check failed\n$/)
  })

  test('exits with 1 if the API server ignores the asserted identity', async () => {
    api.userHeader = 'x-other'
    const { code, stderr, stdout } = await run(site.file('gatehouse.yaml'), true)
    api.userHeader = 'impersonate-user'
    expect(code).toBe(1)
    expect(stdout).toContain('[+]upstream-rejects-anonymous ok')
    expect(stderr).toMatch(/\[-\]upstream-asserts-identity failed: /)
  })

  test('exits with 1 if the API server cannot be reached', async () => {
    const text = await readFile(site.file('upstream.kubeconfig'), 'utf8')
    await writeFile(site.file('gone.kubeconfig'), text.replace(api.url, 'https://127.0.0.1:1'))
    const { code, stderr } = await run(
      await configurationWith({ kubeconfig: 'gone.kubeconfig' }),
      true,
    )
    expect(code).toBe(1)
    expect(stderr).toContain(
      '[-]upstream-reachable failed: the API server cannot be reached: ECONNREFUSED',
    )
  })

  test('asks nobody if the configuration is not valid', async () => {
    const file = await configurationWith({})
    const before = api.connections.total
    expect(await run(file, true)).toMatchObject({ code: 2, stdout: '' })
    expect(api.connections.total).toBe(before)
  })
})
