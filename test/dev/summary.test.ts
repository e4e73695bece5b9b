import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { Environment } from '../../dev/first-run/environment.ts'
import { jsonSummary, textSummary } from '../../dev/first-run/summary.ts'

const upstream = { kubeconfig: '/u', close: async () => undefined }
const environment: Environment = {
  url: 'https://127.0.0.1:1',
  pages: 'https://login.localhost:1',
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
  second: undefined,
  notReady: [],
}

test('the JSON summary is one line with the documented members only', () => {
  const line = jsonSummary(environment)
  expect(line).not.toContain('\n')
  const { url, pages, ca, probes, rules, audit, users } = environment
  const ready = { ready: true, notReady: [] }
  expect(JSON.parse(line)).toEqual({ ...ready, url, pages, ca, probes, rules, audit, users })
})

test('both summaries name the second replica, and what is shared', async () => {
  const second = {
    ...{ url: 'https://127.0.0.1:3', probes: 'http://127.0.0.1:4' },
    ...{ redisPort: 5, redisPasswordFile: '/s/redis-password' },
    failed: new Promise<never>(() => undefined),
  }
  const text = await textSummary({ ...environment, second }, '')
  expect(text).toContain('A second replica runs at https://127.0.0.1:3.')
  expect(text).toContain('REDISCLI_AUTH=$(cat /s/redis-password) redis-cli -p 5 --scan')
  const { redisPort, url, probes } = second
  expect(JSON.parse(jsonSummary({ ...environment, second }))).toMatchObject({
    second: { url, probes, redisPort },
  })
})

test('the JSON summary says whether Gatehouse is ready, and what is not', () => {
  const notReady = ['[-]upstream-reachable failed: why']
  expect(JSON.parse(jsonSummary({ ...environment, notReady }))).toMatchObject({
    ready: false,
    notReady,
  })
})

test('commands can be pasted into a shell, whatever the path', async () => {
  expect(await textSummary(environment, '')).toContain(
    `\n  kubectl --kubeconfig '/s/it'\\''s ada' get pods --all-namespaces\n`,
  )
})

test('the summary has the address of the pages', async () => {
  expect(await textSummary(environment, '')).toContain('Or open https://login.localhost:1/ in')
})

test('the summary has a lock to try, with the session of the sign-in above it', async () => {
  const text = await textSummary(environment, '')
  expect(text).toContain(' gatehouse -- lock --user ada --reason "Laptop stolen."\n')
})

test('the summary keeps what is tried out of the home directory', async () => {
  expect(await textSummary(environment, '')).toContain(
    '\n  export KUBECONFIG=/s/you.kubeconfig XDG_CACHE_HOME=/s/cache KUBECACHEDIR=/s/kubectl-cache\n',
  )
})

test('the summary says that the playground is not real', async () => {
  expect(await textSummary(environment, '')).toContain('nothing in it is real')
})

test('the summary names the configuration file', async () => {
  expect(await textSummary(environment, '')).toContain('\n  config       /s/gatehouse.yaml\n')
})

test('the summary lists failed readiness checks', async () => {
  const notReady = ['[-]upstream-reachable failed: why']
  expect(await textSummary({ ...environment, notReady }, '')).toContain(
    '\nNot ready yet:\n  [-]upstream-reachable failed: why\n',
  )
})

test('commands use the kubectl on the PATH, else the one of the control plane', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-path-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'kubectl'), '', { mode: 0o755 })
  const cluster = {
    ...environment,
    upstream: { ...upstream, kind: 'cluster' as const, kubectl: '/built/kubectl' },
  }
  const hint = 'kubectl is not on your PATH'
  expect(await textSummary(environment, '/nowhere:')).toContain(hint)
  expect(await textSummary(environment, `/nowhere:${folder}`)).not.toContain(hint)
  expect(await textSummary(cluster, '/nowhere:')).toContain('\n  /built/kubectl --kubeconfig ')
  expect(await textSummary(cluster, folder)).toContain('\n  kubectl --kubeconfig ')
})
