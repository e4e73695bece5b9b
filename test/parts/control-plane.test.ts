import { randomBytes } from 'node:crypto'
import { access, readFile, readdir, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { startControlPlane, type RunningControlPlane } from '../../dev/parts/control-plane.ts'
import { runPod } from '../../dev/parts/run-pod.ts'
import { createKubectl, overSPDY, type Kubectl } from '../support/kubectl.ts'

/**
 * The parts without Gatehouse: what the tests with a real control plane rely on. When those fail,
 * look here first.
 */
describe.skipIf(!inject('hasParts'))('the control plane that tests start', () => {
  let controlPlane: RunningControlPlane
  let kubectl: Kubectl

  beforeAll(async () => {
    controlPlane = await startControlPlane()
    kubectl = createKubectl(controlPlane)
    await runPod(controlPlane, 'team-a', 'web')
  })

  afterAll(() => controlPlane.stop())

  test('refuses a request without a credential with 401', async () => {
    const { status, body } = await requestWithoutCredential(controlPlane)
    expect(status).toBe(401)
    expect(JSON.parse(body)).toMatchObject({ kind: 'Status', reason: 'Unauthorized' })
  })

  test('runs a pod', async () => {
    const pods = await kubectl(['-n', 'team-a', 'get', 'pods'])
    expect(pods.stdout).toMatch(/^web +1\/1 +Running /m)
  })

  test.for([
    { protocol: 'WebSocket', env: {} },
    { protocol: 'SPDY', env: overSPDY },
  ])('carries stdin, output and exit code of exec over $protocol', async ({ env }) => {
    const args = ['-n', 'team-a', 'exec', '-i', 'web', '--', 'sh', '-c', 'cat; echo no >&2; exit 7']
    const run = await kubectl(args, { input: 'in and out', env })
    expect(run).toMatchObject({ code: 7, stdout: 'in and out' })
    expect(run.stderr).toMatch(/^no\n/)
  })

  test('returns the log of a container', async () => {
    const logs = await kubectl(['-n', 'team-a', 'logs', 'web'])
    expect(logs.code).toBe(0)
    expect(logs.stdout).toMatch(/^tick \d+$/m)
  })

  test('copies a file to a pod and back unchanged', async () => {
    const content = randomBytes(3_000_001)
    await writeFile(join(controlPlane.directory, 'there'), content)
    const there = await kubectl(['cp', 'there', 'team-a/web:copied'])
    const back = await kubectl(['cp', 'team-a/web:copied', 'back'])
    expect([there.code, back.code]).toEqual([0, 0])
    expect((await readFile(join(controlPlane.directory, 'back'))).equals(content)).toBe(true)
  })

  test('records user and request in its audit log', async () => {
    await kubectl(['-n', 'team-a', 'get', 'pod', 'web'])
    const lines = (await readFile(controlPlane.auditLogFile, 'utf8')).trimEnd().split('\n')
    const events = lines.map((line) => JSON.parse(line) as unknown)
    expect(events).toContainEqual(
      expect.objectContaining({
        verb: 'get',
        requestURI: '/api/v1/namespaces/team-a/pods/web',
        user: expect.objectContaining({ username: 'kubernetes-admin' }) as unknown,
      }),
    )
  })
})

describe.skipIf(!inject('hasParts'))('a control plane that is stopped', () => {
  test('leaves no process and no file behind', async () => {
    const controlPlane = await startControlPlane({ kubelet: false })
    const { directory } = controlPlane
    expect(await processesOf(directory)).toHaveLength(3)
    await controlPlane.stop()
    // The watchdog of the parts removes the directory a moment after them.
    await expect.poll(() => processesOf(directory)).toEqual([])
    await expect(access(directory)).rejects.toThrow('ENOENT')
  })
})

async function requestWithoutCredential(
  controlPlane: RunningControlPlane,
): Promise<{ status: number | undefined; body: string }> {
  const ca = await readFile(controlPlane.caFile)
  const url = new URL('/api', controlPlane.url)
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number | undefined
    body: string
  }>()
  request(url, { ca, agent: false }, (response) => {
    text(response).then((body) => resolve({ status: response.statusCode, body }), reject)
  })
    .once('error', reject)
    .end()
  return promise
}

/** Command lines that contain the folder, except the reaper's, which ends after all others. */
async function processesOf(directory: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  )
  return lines.filter((line) => line.includes(directory) && !line.startsWith('/bin/sh'))
}
