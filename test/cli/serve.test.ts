import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'

import { createAuthority } from '../../certs-dev/pki.ts'
import { freePort } from '../../dev/parts/free-ports.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { createClient } from '../support/client.ts'
import { command } from '../support/command.ts'
import { ALLOW_ALL, kubeconfigOf, SECRET, upstreamOf } from '../support/gatehouse.ts'

const main = resolve(import.meta.dirname, '../../src/main.ts')
let folder = ''
let api: ApiServer
const file = (name: string): string => join(folder, name)

const configuration = {
  apiVersion: 'gatehouse/v1',
  kind: 'GatehouseConfiguration',
  listener: {
    address: '127.0.0.1',
    port: 0,
    tls: { certFile: 'serving.crt', privateKeyFile: 'serving.key' },
  },
  probes: { port: 0 },
  authentication: { x509: { clientCAFile: 'ca.crt' } },
  authorization: { rulesFile: 'rules.yaml' },
  audit: { stdout: {} },
  upstream: { kubeconfig: 'upstream.kubeconfig' },
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-cli-'))
  api = await startApiServer()
  const ca = await createAuthority({ commonName: 'ca' })
  const serving = await ca.issue({
    commonName: 'g',
    ipAddresses: ['127.0.0.1'],
    usages: ['server'],
  })
  const ada = await ca.issue({ commonName: 'ada', usages: ['client'] })
  await Promise.all([
    writeFile(file('ca.crt'), ca.certificatePem),
    writeFile(file('serving.crt'), serving.certificatePem),
    writeFile(file('serving.key'), serving.keyPem, SECRET),
    writeFile(file('ada.crt'), ada.certificatePem),
    writeFile(file('ada.key'), ada.keyPem),
    writeFile(file('rules.yaml'), stringify(ALLOW_ALL)),
    writeFile(file('upstream.kubeconfig'), await kubeconfigOf(upstreamOf(api)), SECRET),
    writeFile(file('gatehouse.yaml'), stringify(configuration)),
  ])
})

afterAll(async () => {
  await api.close()
  await rm(folder, { recursive: true })
})

interface Serving {
  readonly child: ChildProcess
  readonly stdout: string[]
  /** Of the lines of the log. */
  readonly messages: string[]
  /** Resolves with the address of the log line `listening`. */
  readonly listening: Promise<{ port: number }>
  readonly exit: Promise<number | null>
}

function serve(configFile = file('gatehouse.yaml'), preload: readonly string[] = []): Serving {
  const args = [...preload, main, 'serve', '--config', configFile]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const stdout: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => stdout.push(line))
  const messages: string[] = []
  const listening = new Promise<{ port: number }>((resolveAddress) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (!line.startsWith('{')) return
      const entry = JSON.parse(line) as { msg: string; port: number }
      messages.push(entry.msg)
      if (entry.msg === 'listening') resolveAddress(entry)
    })
  })
  return {
    child,
    stdout,
    messages,
    listening,
    exit: once(child, 'close').then(([code]) => code as number | null),
  }
}

async function askAsAda(port: number) {
  const [ca, certificatePem, keyPem] = await Promise.all(
    ['ca.crt', 'ada.crt', 'ada.key'].map((name) => readFile(file(name), 'utf8')),
  )
  const client = createClient({
    url: `https://127.0.0.1:${port}`,
    ca: ca ?? '',
    certificate: { certificatePem: certificatePem ?? '', keyPem: keyPem ?? '' },
  })
  const response = await client.ask('/api/v1/pods')
  await client.close()
  return response
}

describe('gatehouse serve', () => {
  test('logs its address, serves, and exits with 0 and every audit record written on SIGTERM', async () => {
    const { child, stdout, listening, exit } = serve()
    const { port } = await listening
    const response = await askAsAda(port)
    expect(response.status).toBe(200)
    child.kill('SIGTERM')
    expect(await exit).toBe(0)
    const ids = stdout.map((line) => (JSON.parse(line) as { auditID: string }).auditID)
    expect(ids).toEqual([response.headers['audit-id']])
  })

  test('shuts down on a SIGTERM that comes before it is in service, like on a later one', async () => {
    const early = file('early.mjs')
    await writeFile(
      early,
      `import { Server } from 'node:net'
      const { listen } = Server.prototype
      Server.prototype.listen = function (...args) {
        process.kill(process.pid, 'SIGTERM')
        return listen.apply(this, args)
      }`,
    )
    const { messages, exit } = serve(undefined, ['--import', early])
    expect(await exit).toBe(0)
    expect(messages).toEqual(expect.arrayContaining(['listening', 'shutting down', 'stopped']))
  })

  test('exits with 1 after an uncaught exception, with every audit record written', async () => {
    const crash = file('crash.mjs')
    await writeFile(crash, `process.on('SIGUSR2', () => { throw new Error('out of the blue') })`)
    const { child, stdout, listening, exit } = serve(undefined, ['--import', crash])
    const { port } = await listening
    await askAsAda(port)
    child.kill('SIGUSR2')
    expect(await exit).toBe(1)
    expect(stdout).toHaveLength(1)
  })

  test('exits with 2 for a configuration that is not valid, with every problem and no stack', async () => {
    const bad = { ...configuration, audit: {}, listner: {} }
    await writeFile(file('bad.yaml'), stringify(bad))
    const { code, stderr, stdout } = await command(process.execPath, [
      main,
      'serve',
      '--config',
      file('bad.yaml'),
    ])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain('listner: unknown field (did you mean listener?)')
    expect(stderr).toContain('audit: no audit sink is configured')
    expect(stderr).toMatch(/2 problems in the configuration\n$/)
    expect(stderr).not.toContain('    at ')
  })

  test('exits with 1 for an address in use, with one line', async () => {
    const taken = Number(new URL(api.url).port)
    const busy = { ...configuration, listener: { ...configuration.listener, port: taken } }
    await writeFile(file('busy.yaml'), stringify(busy))
    const args = [main, 'serve', '--config', file('busy.yaml')]
    const { code, stderr } = await command(process.execPath, args)
    expect(code).toBe(1)
    expect(stderr).toBe(
      `cannot start: listener: 127.0.0.1:${taken} is already in use ` +
        '(stop the process that listens there, or choose another listener.port)\n',
    )
  })
})

describe('an output that nobody reads', () => {
  /** A handshake that fails, which logs a line at level debug. */
  async function failHandshake(port: number): Promise<void> {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined)
    socket.end('not a handshake\r\n\r\n')
    await once(socket, 'close')
  }

  /** Never reads stderr. */
  function start(...args: string[]) {
    const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
    return { child, exit: once(child, 'exit') as Promise<[number | null, string | null]> }
  }

  test('neither stops requests after hundreds of log lines, nor the exit on SIGTERM', async () => {
    const port = await freePort()
    const probes = { port: await freePort() }
    const listener = { ...configuration.listener, port }
    const audit = { file: { path: file('unread-audit.log') } }
    const log = { level: 'debug' }
    await writeFile(
      file('unread.yaml'),
      stringify({ ...configuration, listener, probes, audit, log }),
    )
    const { child, exit } = start('serve', '--config', file('unread.yaml'))
    const isServing = async () => (await askAsAda(port).catch(() => undefined))?.status
    await expect.poll(isServing).toBe(200)
    // Far more lines than a pipe of 64 KiB holds.
    const handshakes = 600
    for (let n = 0; n < handshakes; n++) await failHandshake(port)
    expect((await askAsAda(port)).status).toBe(200)
    const metrics = await fetch(`http://127.0.0.1:${probes.port}/metrics`)
    expect(await metrics.text()).toContain('gatehouse_log_lines_dropped_total 0\n')
    child.kill('SIGTERM')
    expect(await exit).toEqual([0, null])
    const unread = await text(child.stderr)
    // Each handshake has a line. The last ones are missing, so the pipe was full, however long a line is.
    const failed = unread.split('\n').filter((line) => line.includes('handshake'))
    expect(failed.length).toBeGreaterThan(0)
    expect(failed.length).toBeLessThan(handshakes)
    expect(unread).not.toContain('"msg":"stopped"')
  })

  test('does not keep a start error or a validation from exiting', async () => {
    const rules = Array.from({ length: 500 }, (_, n) => ({ name: `rule ${n}`, efect: 'allow' }))
    await writeFile(file('long-rules.yaml'), stringify({ ...ALLOW_ALL, rules }))
    const bad = { ...configuration, authorization: { rulesFile: 'long-rules.yaml' } }
    await writeFile(file('long.yaml'), stringify(bad))
    const args = ['--config', file('long.yaml')]
    const unread = ['serve', 'validate'].map((name) => start(name, ...args).exit)
    expect(await Promise.all(unread)).toEqual(Array(2).fill([2, null]))
    const read = await command(process.execPath, [main, 'validate', ...args])
    // Those above wrote more than a pipe holds.
    expect(read.stderr.length).toBeGreaterThan(65_536)
    expect(read.stderr).toMatch(/\d+ problems in the conf.*\n$/)
  })
})

test('SIGHUP reloads, and ends neither a starting nor a running Gatehouse', async () => {
  await writeFile(file('hangup-rules.yaml'), stringify(ALLOW_ALL))
  const authorization = { rulesFile: 'hangup-rules.yaml' }
  await writeFile(file('hangup.yaml'), stringify({ ...configuration, authorization }))
  const { child, listening, exit, stdout } = serve(file('hangup.yaml'))
  const { port } = await listening
  expect((await askAsAda(port)).status).toBe(200)
  await writeFile(file('hangup-rules.yaml'), stringify({ ...ALLOW_ALL, rules: [] }))
  child.kill('SIGHUP')
  await expect.poll(async () => (await askAsAda(port)).status, { interval: 10 }).toBe(403)
  child.kill('SIGTERM')
  expect(await exit).toBe(0)
  expect(stdout.length).toBeGreaterThan(1)
})

describe('gatehouse validate', () => {
  test('exits with 0 and says that a valid configuration is valid', async () => {
    const args = [main, 'validate', '--config', file('gatehouse.yaml')]
    expect(await command(process.execPath, args)).toEqual({
      code: 0,
      stdout: `${file('gatehouse.yaml')} is valid\n`,
      stderr: '',
    })
  })

  test('reports the problems of every file that is named', async () => {
    await writeFile(
      file('bad-rules.yaml'),
      'apiVersion: gatehouse/v1\nkind: AccessRules\nrule: []\n',
    )
    const bad = { ...configuration, authorization: { rulesFile: 'bad-rules.yaml' }, logs: {} }
    await writeFile(file('bad.yaml'), stringify(bad))
    const args = [main, 'validate', '--config', file('bad.yaml')]
    const { code, stderr } = await command(process.execPath, args)
    expect(code).toBe(2)
    expect(stderr).toContain('bad.yaml:')
    expect(stderr).toContain('logs: unknown field (did you mean log?)')
    expect(stderr).toContain('bad-rules.yaml:3:1: rule: unknown field (did you mean rules?)')
  })
})

test('a command without its options is a usage error', async () => {
  const { code, stderr } = await command(process.execPath, [main, 'serve'])
  expect(code).toBe(2)
  expect(stderr).toContain("required option '--config <file>' not specified")
})
