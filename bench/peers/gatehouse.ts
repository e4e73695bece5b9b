/** Gatehouse with all features on: OIDC, 100 rules, limits, audit file, impersonation. */
import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { stringify } from 'yaml'

import { writeKubeconfig } from '../../dev/parts/kubeconfig.ts'
import type { AuditMode } from '../../src/audit/record.ts'
import { AUDIENCE } from '../issuer.ts'
import type { Command } from '../processes.ts'
import type { World } from '../world.ts'
import { rules } from './gatehouse-rules.ts'
import type { Peer } from './peer.ts'

const run = promisify(execFile)
/** Below the directory of the configuration. */
export const AUDIT_LOG = 'audit/audit.log'

const root = join(import.meta.dirname, '..', '..')

/** What differs among the Gatehouses of the bench. */
export interface GatehouseSettings {
  /** `batch` by default. */
  readonly mode?: AuditMode
  /** Whether several processes listen on its port; false by default. */
  readonly reusePort?: boolean
  /** The port of `/readyz` and `/metrics`; any free one by default. */
  readonly probesPort?: number
  /** `state` of the configuration: in memory by default. */
  readonly state?: object
  /** Whether engineers may act as others; false by default. */
  readonly impersonation?: boolean
}

/** The published build (one file, in dist) or, with `source`, the sources of the checkout. */
export function gatehouse(source: boolean, settings: GatehouseSettings = {}): Peer {
  const { mode = 'batch', state } = settings
  const suffix = [mode === 'batch' ? '' : ` ${mode}`, state === undefined ? '' : ' redis'].join('')
  return {
    name: `gatehouse${suffix}`,
    what: `Gatehouse, all features: OIDC, 100 rules, limits, audit file, impersonation${source ? ' (from src)' : ''}`,
    protocols: ['h1', 'h2'],
    servesUpgrades: true,
    isCompiledAtRuntime: true,
    prepare: async () => {
      if (!source) await build()
      return undefined
    },
    command: async (world, port, directory): Promise<Command> => ({
      file: 'env',
      args: [
        ...(await imageEnvironment()),
        process.execPath,
        ...(await imageOptions()),
        join(root, source ? 'src/main.ts' : 'dist/main.js'),
        'serve',
        `--config=${await writeConfiguration(world, port, directory, settings)}`,
      ],
    }),
  }
}

/** The options of Node with which the image starts Gatehouse. */
async function imageOptions(): Promise<string[]> {
  const entrypoint = JSON.parse(
    /^ENTRYPOINT (.*)$/m.exec(await dockerfile())?.[1] ?? '[]',
  ) as string[]
  return entrypoint.filter((word) => word.startsWith('--'))
}

/** `NAME=value` of each variable that the image sets. */
async function imageEnvironment(): Promise<string[]> {
  const lines = [...(await dockerfile()).matchAll(/^ENV (.*)$/gm)]
  return lines.flatMap(([, variables = '']) => variables.split(' '))
}

function dockerfile(): Promise<string> {
  return readFile(join(root, 'Dockerfile'), 'utf8')
}

/** Builds dist as `npm pack` does. */
async function build(): Promise<void> {
  await run('npm', ['run', '--silent', 'build'], { cwd: root }).catch((error: unknown) => {
    const { stdout, stderr, message } = error as Error & { stdout?: string; stderr?: string }
    throw new Error(`npm run build failed: ${message}\n${stdout ?? ''}${stderr ?? ''}`)
  })
}

/** Writes all files that a Gatehouse on `port` needs; returns the path of the configuration. */
export async function writeConfiguration(
  world: World,
  port: number,
  directory: string,
  settings: GatehouseSettings = {},
): Promise<string> {
  const { upstream, ca, client } = world
  await mkdir(join(directory, 'audit'), { recursive: true })
  await writeKubeconfig(join(directory, 'upstream.kubeconfig'), {
    url: upstream.url,
    caFile: ca.certFile,
    ...client,
  })
  const issuerCA = await readFile(ca.certFile, 'utf8')
  await writeYaml(directory, 'authentication.yaml', authentication(world, issuerCA))
  await writeYaml(directory, 'rules.yaml', rules(settings.impersonation))
  return writeYaml(directory, 'gatehouse.yaml', configuration(world, port, settings))
}

async function writeYaml(directory: string, name: string, content: unknown): Promise<string> {
  const file = join(directory, name)
  await writeFile(file, stringify(content, { aliasDuplicateObjects: false }))
  return file
}

/** The limits are checked for each request, but are far above the load and never refuse one. */
function configuration(
  { serving }: World,
  port: number,
  {
    mode = 'batch',
    reusePort = false,
    probesPort = 0,
    state = {},
    impersonation = false,
  }: GatehouseSettings,
): unknown {
  const unlimited = { requestsPerSecond: 1_000_000, burst: 1_000_000 }
  return {
    apiVersion: 'gatehouse/v1',
    kind: 'GatehouseConfiguration',
    listener: {
      address: '127.0.0.1',
      port,
      reusePort,
      tls: { certFile: serving.certFile, privateKeyFile: serving.keyFile },
      limits: { maxConnections: 20_000, maxConnectionsPerAddress: 20_000 },
    },
    probes: { address: '127.0.0.1', port: probesPort },
    authentication: { configFile: 'authentication.yaml' },
    authorization: { rulesFile: 'rules.yaml' },
    ...(impersonation ? { impersonation: { enabled: true } } : {}),
    limits: {
      address: unlimited,
      // All load comes from one address.
      handshakes: { handshakesPerSecond: 1_000_000, burst: 1_000_000 },
      user: { read: unlimited, write: unlimited, list: unlimited, stream: unlimited },
      concurrent: { requests: 200, streams: 10_000 },
    },
    state,
    audit: { mode, file: { path: AUDIT_LOG } },
    upstream: { kubeconfig: 'upstream.kubeconfig' },
  }
}

function authentication({ issuer }: World, certificateAuthority: string): unknown {
  return {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthenticationConfiguration',
    jwt: [
      {
        issuer: { url: issuer.url, audiences: [AUDIENCE], certificateAuthority },
        claimMappings: {
          username: { claim: 'sub', prefix: 'oidc:' },
          groups: { claim: 'groups', prefix: 'oidc:' },
        },
      },
    ],
  }
}
