/**
 * Makes the code cache of the server in a directory, the first argument: it starts the server there,
 * sends it a request, and keeps what V8 has compiled until then. V8 compiles a function when it is first
 * called, so without the start most of the code would be missing. Everything is on loopback.
 */
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { writeDevelopmentCertificates } from '../certs-dev/generate.ts'
import { packCodeCache } from '../src/cli/code-cache.ts'
import { loadServerScript, SERVER_CODE } from '../src/cli/server-script.ts'

/** How long the start may take, and how often it is looked for. */
const START_MS = 60_000
const POLL_MS = 20

const [, , directory = ''] = process.argv
const folder = await mkdtemp(join(tmpdir(), 'gatehouse-build-'))
try {
  const { text, script, commands } = loadServerScript(directory)
  const port = await freePort()
  const config = await writeConfiguration(folder, port)
  // V8 takes flags of this process for those of the code.
  const ended = commands.runServe(config, process, () => undefined)
  const isOver = await Promise.race([ended.then(() => true), sendRequests(port).then(() => false)])
  process.kill(process.pid, 'SIGTERM')
  const exitCode = await ended
  if (isOver || exitCode !== 0) throw new Error(`the server ended with ${exitCode}`)
  await writeFile(join(directory, SERVER_CODE), packCodeCache(text, script.createCachedData()))
} catch (error) {
  // The server has its own handlers for what nobody catches.
  process.stderr.write(`${String(error)}\n`)
  process.exitCode = 1
} finally {
  await rm(folder, { recursive: true })
}
process.exit()

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** One request over each protocol; nobody is signed in, so that the response is 401. */
async function sendRequests(port: number): Promise<void> {
  for (const deadline = Date.now() + START_MS; ;) {
    try {
      await sendHttp1(port)
      break
    } catch (error) {
      if (Date.now() > deadline) throw error
      await sleep(POLL_MS)
    }
  }
  await sendHttp2(port)
}

async function sendHttp1(port: number): Promise<void> {
  const sent = request({ ...target(port), path: '/api', agent: false }).end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  response.resume()
  await once(response, 'end')
}

async function sendHttp2(port: number): Promise<void> {
  const session = connectHttp2(`https://127.0.0.1:${port}`, target(port))
  const stream = session.request({ ':path': '/api' })
  stream.resume()
  await once(stream, 'end')
  session.close()
  await once(session, 'close')
}

/** Its certificate was made for this build, and says nothing. */
function target(port: number) {
  return {
    ...{ host: '127.0.0.1', port, rejectUnauthorized: false },
    headers: { authorization: 'Bearer none' },
  }
}

/** Returns the path of the configuration. Its API server and its issuer do not exist. */
async function writeConfiguration(directory: string, port: number): Promise<string> {
  const { serving, upstream, ca, clientCA } = await writeDevelopmentCertificates(directory)
  const file = join(directory, 'gatehouse.yaml')
  await writeFile(
    file,
    `apiVersion: gatehouse/v1
kind: GatehouseConfiguration
listener:
  address: 127.0.0.1
  port: ${port}
  tls:
    certFile: ${serving.certFile}
    privateKeyFile: ${serving.keyFile}
probes:
  address: 127.0.0.1
  port: 0
authentication:
  configFile: authentication.yaml
  x509:
    clientCAFile: ${clientCA.certFile}
authorization:
  rulesFile: rules.yaml
audit:
  file:
    path: audit.log
upstream:
  kubeconfig: upstream.kubeconfig
shutdown:
  delay: 0s
  gracePeriod: 1s
`,
  )
  await writeFile(
    join(directory, 'authentication.yaml'),
    `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
  - issuer:
      url: https://127.0.0.1:1
      audiences: [gatehouse]
    claimMappings:
      username:
        claim: sub
        prefix: 'oidc:'
      groups:
        claim: groups
        prefix: 'oidc:'
`,
  )
  await writeFile(
    join(directory, 'rules.yaml'),
    `apiVersion: gatehouse/v1
kind: AccessRules
default: deny
rules:
  - name: readers
    effect: allow
    subjects:
      groups: ['oidc:readers']
    verbs: [get, list, watch]
    resources:
      - apiGroups: ['*']
        resources: ['*']
  - name: paths
    effect: allow
    subjects:
      groups: ['oidc:readers']
    verbs: ['*']
    nonResourceURLs: ['*']
`,
  )
  await writeFile(
    join(directory, 'upstream.kubeconfig'),
    `apiVersion: v1
kind: Config
current-context: upstream
clusters:
  - name: upstream
    cluster:
      server: https://127.0.0.1:1
      certificate-authority: ${ca.certFile}
users:
  - name: gatehouse
    user:
      client-certificate: ${upstream.certFile}
      client-key: ${upstream.keyFile}
contexts:
  - name: upstream
    context:
      cluster: upstream
      user: gatehouse
`,
  )
  return file
}
