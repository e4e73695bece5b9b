/** Everything of a first run: certificates, identity provider, API server, Gatehouse, kubeconfigs. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { request } from 'undici'
import { writeDevelopmentCertificates } from '../../certs-dev/generate.ts'
import { inClusterFrom } from '../../src/config/environment.ts'
import { startGatehouse } from '../../src/gatehouse/serve.ts'
import { createLog } from '../../src/log.ts'
import { startIdentityProvider } from '../identity-provider.ts'
import { writeConfiguration } from './configuration.ts'
import { createLogDestination } from './log-notices.ts'
import { createRunFolder } from './state.ts'
import {
  controlPlaneUpstream,
  existingCluster,
  playgroundUpstream,
  type Upstream,
} from './upstreams.ts'
import {
  ada,
  grace,
  graceAccount,
  writeAdaKubeconfig,
  writeGraceKubeconfig,
  type DevelopmentUser,
} from './users.ts'

export interface EnvironmentOptions {
  /** Folder for the folders of runs. */
  readonly stateFolder: string
  /** 0: any free one. */
  readonly port: number
  /** 0: any free one. */
  readonly probesPort: number
  /** Start a real control plane. */
  readonly cluster: boolean
  /** Use the API server that this file names; wins over `cluster`. */
  readonly kubeconfig: string | undefined
  /** Told, in words, when a file was read again, and when it could not be. */
  readonly tell: (notice: string) => void
}

/** What a user of the run has to know. Files are absolute paths. */
export interface Environment {
  readonly url: string
  readonly ca: string
  readonly probes: string
  /** Gatehouse's gatehouse.yaml, with everything that it names beside it. */
  readonly configuration: string
  readonly rules: string
  readonly audit: string
  /** Gatehouse's own log. */
  readonly log: string
  readonly users: readonly (DevelopmentUser & { readonly kubeconfig: string })[]
  readonly upstream: Upstream
  /** Lines of `/readyz` that failed; none when Gatehouse is ready. */
  readonly notReady: readonly string[]
}

/** How long readiness may take, before what it lacks is only told. */
const readyPatience = 5000

/**
 * Starts it all. What has to be ended is deferred on `cleanup`, step by step, so that its owner can
 * end it at any time. Throws when something cannot be started.
 */
export async function startEnvironment(
  options: EnvironmentOptions,
  cleanup: AsyncDisposableStack,
): Promise<Environment> {
  const folder = await createRunFolder(options.stateFolder)
  cleanup.defer(() => folder.remove())
  const { directory } = folder
  const certificates = await writeDevelopmentCertificates(join(directory, 'certificates'))

  const identityProvider = await startIdentityProvider({
    accounts: [graceAccount],
    serving: certificates.serving,
    caFile: certificates.ca.certFile,
  })
  cleanup.defer(() => identityProvider.close())

  const upstream =
    options.kubeconfig !== undefined
      ? existingCluster(options.kubeconfig)
      : options.cluster
        ? await controlPlaneUpstream(directory)
        : await playgroundUpstream(directory, certificates)
  cleanup.defer(() => upstream.close())

  const files = await writeConfiguration({
    directory,
    certificates,
    identityProvider,
    upstreamKubeconfig: upstream.kubeconfig,
    port: options.port,
    probesPort: options.probesPort,
  })
  const logFile = join(directory, 'gatehouse.log')
  const destination = createLogDestination(logFile, options.tell)
  const gatehouse = await startGatehouse({
    configFile: files.configFile,
    inCluster: inClusterFrom(process.env),
    log: createLog({ level: 'info', destination }),
  })
  cleanup.defer(() => gatehouse.close(true))

  const url = `https://127.0.0.1:${gatehouse.address.port}`
  const probes = `http://127.0.0.1:${gatehouse.probes.port}`
  const adaKubeconfig = await writeAdaKubeconfig({ directory, url, certificates })
  const graceFiles = await writeGraceKubeconfig({ directory, url, certificates }, identityProvider)
  cleanup.defer(() => graceFiles.stop())
  return {
    url,
    ca: certificates.ca.certFile,
    probes,
    configuration: files.configFile,
    rules: files.rulesFile,
    audit: files.auditFile,
    log: logFile,
    users: [
      { ...ada, kubeconfig: adaKubeconfig },
      { ...grace, kubeconfig: graceFiles.kubeconfig },
    ],
    upstream,
    notReady: await untilReady(probes),
  }
}

async function untilReady(probes: string): Promise<readonly string[]> {
  const end = Date.now() + readyPatience
  for (;;) {
    const { statusCode, body } = await request(`${probes}/readyz?verbose`)
    const text = await body.text()
    if (statusCode === 200) return []
    if (Date.now() > end) return text.split('\n').filter((line) => line.startsWith('[-]'))
    await sleep(50)
  }
}
