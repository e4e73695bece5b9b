import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { Environment } from '../../dev/first-run/environment.ts'
import { jsonSummary, textSummary } from '../../dev/first-run/summary.ts'

const upstream = { kubeconfig: '/u', close: async () => undefined }
const environment: Environment = {
  url: 'https://127.0.0.1:1',
  ca: '/s/ca.crt',
  probes: 'http://127.0.0.1:2',
  configuration: '/s/gatehouse.yaml',
  rules: '/s/rules.yaml',
  audit: '/s/audit.log',
  log: '/s/gatehouse.log',
  users: [
    { username: 'ada', groups: ['a'], kind: 'x509', kubeconfig: "/s/it's ada" },
    { username: 'oidc:grace', groups: [], kind: 'oidc', kubeconfig: '/s/grace' },
  ],
  upstream: { ...upstream, kind: 'playground' },
  notReady: [],
}

test('JSON is one line of what was promised and nothing else', () => {
  const line = jsonSummary(environment)
  expect(line).not.toContain('\n')
  const { url, ca, probes, rules, audit, users } = environment
  expect(JSON.parse(line)).toEqual({ url, ca, probes, rules, audit, users })
})

test('commands can be pasted whatever the path', () => {
  expect(textSummary(environment, '')).toContain(
    `\n  kubectl --kubeconfig '/s/it'\\''s ada' get pods --all-namespaces\n`,
  )
})

test('what is behind Gatehouse is said plainly', () => {
  expect(textSummary(environment, '')).toContain('nothing in it is real')
})

test('the configuration that it runs with can be found', () => {
  expect(textSummary(environment, '')).toContain('\n  config       /s/gatehouse.yaml\n')
})

test('what is not ready is named', () => {
  const notReady = ['[-]upstream-reachable failed: why']
  expect(textSummary({ ...environment, notReady }, '')).toContain(
    '\nNot ready yet:\n  [-]upstream-reachable failed: why\n',
  )
})

test('kubectl is the one on the PATH, else the one that came with the cluster', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-path-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'kubectl'), '', { mode: 0o755 })
  const cluster = {
    ...environment,
    upstream: { ...upstream, kind: 'cluster' as const, kubectl: '/built/kubectl' },
  }
  const hint = 'There is no kubectl on your PATH'
  expect(textSummary(environment, '/nowhere:')).toContain(hint)
  expect(textSummary(environment, `/nowhere:${folder}`)).not.toContain(hint)
  expect(textSummary(cluster, '/nowhere:')).toContain('\n  /built/kubectl --kubeconfig ')
  expect(textSummary(cluster, folder)).toContain('\n  kubectl --kubeconfig ')
})
