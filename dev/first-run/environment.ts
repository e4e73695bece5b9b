/** A first run: certificates, identity provider, API server, Gatehouse, kubeconfigs. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { request } from 'undici'
import { writeDevelopmentCertificates } from '../../certs-dev/generate.ts'
import { inClusterFrom } from '../../src/config/environment.ts'
import { startGatehouse } from '../../src/gatehouse/serve.ts'
import { createLog } from '../../src/log.ts'
import { startIdentityProvider } from '../identity-provider.ts'
import { freePort } from '../parts/free-ports.ts'
import { writeConfiguration } from './configuration.ts'
import { createLogDestination } from './log-notices.ts'
import { startFirstRunRedis } from './redis.ts'
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
  /** The parent of the folders of runs. */
  readonly stateFolder: string
  /** 0 means any free port. */
  readonly port: number
  /** 0 means any free port. */
  readonly probesPort: number
  /** Whether to start a real control plane. */
  readonly cluster: boolean
  /** Uses the API server of this kubeconfig; takes precedence over `cluster`. */
  readonly kubeconfig: string | undefined
  /** Whether to start Redis, and a second Gatehouse that shares it. */
  readonly redis: boolean
}

export interface EnvironmentEffects {
  /**
   * Everything that has to be stopped is deferred here, step by step, so that the caller can stop it
   * at any time.
   */
  readonly cleanup: AsyncDisposableStack
  /** Prints a notice about a reload or a suspicious file. */
  readonly notify: (notice: string) => void
}

/** What a user of the run needs to know. Files are absolute paths. */
export interface Environment {
  readonly url: string
  /** The sign-in pages for browsers. */
  readonly pages: string
  readonly ca: string
  readonly probes: string
  /** The gatehouse.yaml; the files that it refers to are in the same folder. */
  readonly configuration: string
  readonly rules: string
  readonly audit: string
  /** Gatehouse's own log. */
  readonly log: string
  readonly users: readonly (DevelopmentUser & { readonly kubeconfig: string })[]
  readonly upstream: Upstream
  /** Undefined without Redis. */
  readonly second: SecondReplica | undefined
  /** Lines of `/readyz` that failed; empty when Gatehouse is ready. */
  readonly notReady: readonly string[]
}

/** A name of their own, since the run accepts client certificates. */
const PAGES_HOST = 'login.localhost'
export interface SecondReplica {
  readonly url: string
  readonly probes: string
  readonly redisPort: number
  readonly redisPasswordFile: string
  /** Rejects when Redis ends. */
  readonly failed: Promise<never>
}

/** How long to wait for readiness before the summary lists the failed checks. */
const READY_TIMEOUT_MS = 5_000
const READY_POLL_MS = 50

/** Starts everything. Throws when something cannot be started. */
export async function startEnvironment(
  options: EnvironmentOptions,
  { cleanup, notify }: EnvironmentEffects,
): Promise<Environment> {
  const folder = await createRunFolder(options.stateFolder)
  cleanup.defer(() => folder.remove())
  const { directory } = folder
  const certificates = await writeDevelopmentCertificates(join(directory, 'certificates'))

  // Known beforehand: the identity provider has to know where the pages are.
  const port = options.port === 0 ? await freePort() : options.port
  const pagesURL = `https://${PAGES_HOST}:${port}`
  const developmentCA = await readFile(certificates.ca.certFile, 'utf8')
  const identityProvider = await startIdentityProvider({
    accounts: [graceAccount],
    serving: certificates.serving,
    caFile: certificates.ca.certFile,
    pages: { url: pagesURL, ca: () => developmentCA },
  })
  cleanup.defer(() => identityProvider.close())

  const upstream =
    options.kubeconfig !== undefined
      ? existingCluster(options.kubeconfig)
      : options.cluster
        ? await controlPlaneUpstream(directory)
        : await playgroundUpstream(directory, certificates)
  cleanup.defer(() => upstream.close())

  const redis = options.redis
    ? await startFirstRunRedis(directory, process.env['PATH'] ?? '')
    : undefined
  if (redis !== undefined) cleanup.defer(() => redis.close())

  const files = await writeConfiguration({
    directory,
    certificates,
    identityProvider,
    upstreamKubeconfig: upstream.kubeconfig,
    port,
    pagesURL,
    probesPort: options.probesPort,
    state: redis?.state,
  })
  const logFile = join(directory, 'gatehouse.log')
  const destination = createLogDestination({ file: logFile }, { notify })
  const log = createLog({ level: 'info', destination })
  const start = async (configFile: string, processMetrics: boolean) => {
    const inCluster = inClusterFrom(process.env)
    const gatehouse = await startGatehouse({ configFile, inCluster, log, processMetrics })
    cleanup.defer(() => gatehouse.close(true))
    const url = `https://127.0.0.1:${gatehouse.address.port}`
    return { url, probes: `http://127.0.0.1:${gatehouse.probes.port}` }
  }
  const { url, probes } = await start(files.configFile, true)
  const second: SecondReplica | undefined =
    redis === undefined
      ? undefined
      : { ...redis.shown, ...(await start(files.secondConfigFile, false)) }
  const adaKubeconfig = await writeAdaKubeconfig({ directory, url, certificates })
  const graceFiles = await writeGraceKubeconfig({ directory, url, certificates }, identityProvider)
  cleanup.defer(() => graceFiles.stop())
  return {
    url,
    pages: pagesURL,
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
    second,
    notReady: [
      ...(await failedChecks(probes)),
      ...(second === undefined ? [] : await failedChecks(second.probes)),
    ],
  }
}

/** Waits until Gatehouse is ready; returns the lines of the checks that still fail at the timeout. */
async function failedChecks(probes: string): Promise<readonly string[]> {
  const end = Date.now() + READY_TIMEOUT_MS
  for (;;) {
    const { statusCode, body } = await request(`${probes}/readyz?verbose`)
    const text = await body.text()
    if (statusCode === 200) return []
    if (Date.now() > end) return text.split('\n').filter((line) => line.startsWith('[-]'))
    await sleep(READY_POLL_MS)
  }
}
