import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'

import { callApi } from '../../dev/parts/api-client.ts'
import { newNamespace } from '../support/cluster.ts'
import { command } from '../support/command.ts'
import { overSPDY } from '../support/kubectl.ts'
import { startSite, type Site } from '../support/site.ts'
import { CREDENTIALS, type User } from '../support/users.ts'

const NAMESPACE = newNamespace()
const overWebSocket = {
  KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'true',
  KUBECTL_PORT_FORWARD_WEBSOCKETS: 'true',
}
const combinations = CREDENTIALS.flatMap((credential) => [
  { credential, protocol: 'WebSocket', env: overWebSocket, method: 'get' },
  { credential, protocol: 'SPDY', env: overSPDY, method: 'create' },
])

/** Upgraded connections, over both protocols that kubectl supports, to a kubelet's own streaming code. */
describe.skipIf(!inject('hasParts'))('streams', () => {
  let site: Site

  beforeAll(async () => {
    site = await startSite({ namespace: NAMESPACE })
  })

  afterAll(() => site.stop())

  describe.each(combinations)('over $protocol with $credential', ({ credential, env, method }) => {
    let user: User

    beforeAll(() => {
      user = site.users[credential]
    })

    test('exec carries stdin, output and exit code', async () => {
      const script = 'cat; echo no >&2; exit 7'
      const args = ['exec', '-i', 'web', '--', 'sh', '-c', script]
      const run = await user.kubectl(args, { input: 'in and out', env })
      expect(run).toMatchObject({ code: 7, stdout: 'in and out' })
      expect(run.stderr).toBe('no\ncommand terminated with exit code 7\n')
    })

    test('exec uses the expected protocol at the first attempt', async () => {
      const mark = `${credential}-${method}`.replace(' ', '-')
      await user.kubectl(['exec', 'web', '--', 'echo', mark], { env })
      const ended = async (): Promise<string[]> =>
        (await site.cluster.events())
          .filter(({ requestURI }) => requestURI.includes(`command=${mark}`))
          .filter(({ stage }) => stage === 'ResponseComplete')
          .map(({ verb }) => verb)
      await expect.poll(ended).toEqual([method])
    })

    test('exec -it has a terminal that follows the size of the local one', async () => {
      const remote = [
        'stty size',
        'while [ "$(stty size)" = "41 137" ]; do sleep 0.1; done',
        'stty size',
        'read line',
        'echo "line: $line"',
        'exit 3',
      ].join('; ')
      const record = join(user.home, `typescript-${method}`)
      const local = [
        'stty rows 41 cols 137',
        `(until grep -q "^41 137" ${record}; do sleep 0.1; done; stty rows 50 cols 99 < /dev/tty) &`,
        `${site.cluster.controlPlane.kubectl} exec -it web -- sh -c '${remote}'`,
      ].join('\n')
      const run = await command('script', ['--quiet', '--return', '--flush', '-c', local, record], {
        input: 'typed\n',
        env: {
          PATH: process.env['PATH'],
          HOME: user.home,
          KUBECONFIG: user.kubeconfig,
          SHELL: '/bin/sh',
          ...env,
        },
      })
      expect(run.code).toBe(3)
      expect(run.stdout).toMatch(/41 137\r\n[^]*50 99\r\n[^]*line: typed\r\n/)
    })

    test('cp copies 20 MB to a pod and back unchanged', async () => {
      const content = randomBytes(20_000_001)
      await writeFile(join(user.home, 'there'), content)
      const there = await user.kubectl(['cp', 'there', `web:copied-${credential}-${method}`], {
        env,
      })
      const back = await user.kubectl(['cp', `web:copied-${credential}-${method}`, 'back'], { env })
      expect([there.code, back.code]).toEqual([0, 0])
      expect(sha256(await readFile(join(user.home, 'back')))).toBe(sha256(content))
    })

    test('attach prints the output of the container and sends it stdin', async () => {
      const attached = user.start(['attach', '-i', 'web'], env)
      await attached.until(/^tick \d+$/m)
      attached.write(`${credential} ${method}\n`)
      const line = `echo: ${credential} ${method}`
      expect(await attached.until(new RegExp(`^${line}$`, 'm'))).toContain(line)
    })

    test('port-forward carries HTTP', async () => {
      const remotePort = await startPage()
      const forward = user.start(['port-forward', 'pod/web', `:${remotePort}`], env)
      const output = await forward.until(/Forwarding from 127\.0\.0\.1:\d+/)
      const localPort = /127\.0\.0\.1:(\d+)/.exec(output)?.[1] ?? ''
      const pages = await Promise.all(
        ['one', 'two', 'three'].map(async (path) => {
          const response = await fetch(`http://127.0.0.1:${localPort}/${path}`)
          return response.text()
        }),
      )
      expect(pages).toEqual(['page /one', 'page /two', 'page /three'])
    })

    test('exec ends its command when the client disconnects', async () => {
      const exec = user.start(['exec', 'web', '--', 'sh', '-c', 'echo begun; sleep 600'], env)
      await exec.until(/begun/)
      expect(await sessions()).toContain('sleep 600')
      await exec.stop('SIGKILL')
      await expect.poll(sessions).not.toContain('sleep 600')
    })
  })

  test('caused no request with the rights of Gatehouse itself', async () => {
    expect(await site.cluster.eventsOfGatehouseItself()).toEqual([])
  })

  /** The open sessions of the stand-in kubelet. */
  async function sessions(): Promise<string> {
    const { kubelet } = site.cluster.controlPlane
    if (kubelet === undefined) throw new Error('there is no kubelet')
    return (await callApi(kubelet, 'GET', '/sessions')).body
  }
})

/** Starts an HTTP server that the pod can reach; returns its port. */
async function startPage(): Promise<number> {
  const server: Server = createServer((request, response) => response.end(`page ${request.url}`))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
