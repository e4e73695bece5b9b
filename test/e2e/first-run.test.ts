import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { access } from 'node:fs/promises'
import { dirname } from 'node:path'
import { part } from '../../dev/parts/parts.ts'
import { firstRun, summaryOf, type FirstRun, type Summary } from '../dev/first-run.ts'
import { command, type CommandResult } from '../support/command.ts'

/** `npm start -- --cluster`: a first run with a real control plane. */
describe.skipIf(!inject('hasParts'))('npm start with --cluster', () => {
  let run: FirstRun
  let summary: Summary
  let binary: string

  beforeAll(async () => {
    binary = await part('kubectl')
    run = firstRun(['--cluster', '--output', 'json'])
    summary = await summaryOf(run)
  })
  afterAll(async () => {
    run.child.kill('SIGTERM')
    await run.ended
  })

  function kubectl(index: number, args: readonly string[]): Promise<CommandResult> {
    const { kubeconfig } = summary.users[index]!
    const home = dirname(kubeconfig)
    return command(binary, args, {
      cwd: home,
      env: { PATH: process.env['PATH'], HOME: home, KUBECONFIG: kubeconfig },
    })
  }

  describe.for([
    { index: 0, username: 'ada' },
    { index: 1, username: 'oidc:grace' },
  ])('starts a cluster in which $username', ({ index, username }) => {
    test('is the user that kube-apiserver sees', async () => {
      const whoami = await kubectl(index, ['auth', 'whoami', '-o', 'jsonpath={..username}'])
      expect(whoami).toEqual({ code: 0, stdout: username, stderr: '' })
    })

    test('is allowed everything by RBAC', async () => {
      expect(await kubectl(index, ['auth', 'can-i', '*', '*', '--all-namespaces'])).toMatchObject({
        code: 0,
        stdout: 'yes\n',
      })
    })

    test('can run a command in the pod, and gets its exit code', async () => {
      const exec = await kubectl(index, ['exec', 'web', '--', 'sh', '-c', 'echo out; exit 3'])
      expect(exec).toMatchObject({ code: 3, stdout: 'out\n' })
    })

    test('cannot use the service proxy', async () => {
      const path = '/api/v1/namespaces/default/services/web:80/proxy/'
      const proxied = await kubectl(index, ['get', '--raw', path])
      expect(proxied).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('Gatehouse rule "no-proxy-subresources"') as unknown,
      })
    })
  })

  test('stops everything that it started', async () => {
    run.child.kill('SIGINT')
    expect(await run.ended).toBe(0)
    await expect(access(dirname(summary.audit))).rejects.toThrow('ENOENT')
  })
})
