import { readFile, writeFile } from 'node:fs/promises'

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'

import { formatProblem, type ConfigProblem } from '../../src/config/problem.ts'
import type { ValidateOutput } from '../../src/cli/validate.ts'
import type { InClusterEnvironment } from '../../src/config/environment.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { validated } from '../support/validated.ts'

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

async function run(
  configFile: string,
  online = false,
  inCluster?: InClusterEnvironment,
  output: ValidateOutput = 'text',
) {
  const { code, stdout, stderr } = await validated(configFile, { online, inCluster, output })
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

describe('validate --output json', () => {
  async function json(configFile: string, online = false): Promise<[number, unknown]> {
    const { code, stdout, stderr } = await run(configFile, online, undefined, 'json')
    expect([stdout.trim().split('\n'), stderr]).toEqual([[expect.any(String)], ''])
    return [code, JSON.parse(stdout)]
  }

  test('has the warnings of a valid configuration', async () => {
    const file = await configurationWith({ inCluster: true })
    expect(await json(file)).toEqual([
      0,
      {
        ...{ config: file, valid: true, problems: [] },
        warnings: [
          {
            ...{ file, line: expect.any(Number) as number, column: expect.any(Number) as number },
            field: 'upstream.inCluster',
            message: expect.stringContaining('was not checked') as string,
            fix: 'run gatehouse validate --online in the pod to check it, too',
          },
        ],
      },
    ])
  })

  test('has every problem with its place, and the exit code of the text', async () => {
    const file = await configurationWith({ kubeconfig: 'nowhere', contexts: 'x' })
    const [code, report] = await json(file)
    expect(code).toBe(2)
    expect(report).toMatchObject({ config: file, valid: false })
    const { problems } = report as { problems: readonly object[] }
    const { stderr } = await run(file)
    const lines = stderr.trim().split('\n').slice(0, -1)
    expect(lines).toHaveLength(2)
    expect(problems.map((problem) => formatProblem(problem as ConfigProblem))).toEqual(lines)
  })

  test('says that a file that does not exist does not', async () => {
    const file = site.file('nowhere.yaml')
    expect(await json(file)).toMatchObject([2, { valid: false, problems: [{ file }] }])
  })

  test('has the online checks', async () => {
    const file = site.file('gatehouse.yaml')
    const [code, passed] = await json(file, true)
    expect([code, passed]).toMatchObject([0, { valid: true, checks: expect.any(Array) as object }])
    expect((passed as { checks: readonly object[] }).checks).toContainEqual({
      ...{ name: 'upstream-reachable', ok: true },
    })
    site.issuer.discovery = { issuer: 'https://other.example' }
    const [failedCode, failed] = await json(file, true)
    expect([failedCode, failed]).toMatchObject([1, { valid: true }])
    expect((failed as { checks: readonly object[] }).checks).toContainEqual({
      ...{ name: `jwks ${site.issuer.url}`, ok: false, problem: expect.any(String) as string },
    })
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
