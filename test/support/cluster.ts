/**
 * A real control plane to which deploy/kubernetes has been applied, with a pod and with rights for the
 * users of the tests. Gatehouse's upstream credential is a token of the service account from these
 * manifests, so Gatehouse has the rights of their ClusterRole and no others.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { inject } from 'vitest'

import { startControlPlane, type ControlPlane } from '../../dev/parts/control-plane.ts'
import { runPod } from '../../dev/parts/run-pod.ts'
import { createKubectl, succeed, type Kubectl } from './kubectl.ts'
import { applyManifests } from './manifests.ts'
import { writeServiceAccountKubeconfig } from './service-account.ts'

/** Gatehouse's user name at the API server. */
export const GATEHOUSE_USERNAME = 'system:serviceaccount:gatehouse:gatehouse'

/** The fields of kube-apiserver's `audit.k8s.io/v1` events that the tests read. */
export interface ApiServerEvent {
  readonly auditID: string
  readonly stage: string
  readonly verb: string
  readonly objectRef?: { readonly name?: string }
  readonly requestURI: string
  readonly user: ApiServerUser
  readonly impersonatedUser?: ApiServerUser
  readonly sourceIPs: readonly string[]
  readonly userAgent?: string
  readonly responseStatus?: { readonly code?: number; readonly message?: string }
}

interface ApiServerUser {
  readonly username?: string
  readonly uid?: string
  readonly groups?: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

/** A control plane with the namespace in which a test file works. */
export interface TestControlPlane extends ControlPlane {
  readonly namespace: string
}

export interface Cluster {
  readonly controlPlane: TestControlPlane
  readonly admin: Kubectl
  /** Path of a kubeconfig that refers to a token file, as in a pod. */
  readonly gatehouseKubeconfig: string
  readonly gatehouseTokenFile: string
  /** The events in kube-apiserver's own audit log so far. */
  events(): Promise<readonly ApiServerEvent[]>
  /** The final event of a request, which is written shortly after the response; fails after 20 s. */
  eventOf(auditID: string): Promise<ApiServerEvent>
  /**
   * The requests that ran with Gatehouse's own rights, which must never happen. A request that was
   * refused because Gatehouse may not impersonate did not run.
   */
  eventsOfGatehouseItself(): Promise<readonly ApiServerEvent[]>
  stop(): Promise<void>
}

export interface ClusterOptions {
  /** The namespace of the test file; from `newNamespace` in the shared control plane. */
  readonly namespace: string
  /** Whether the pod `web` runs in the namespace; true by default. */
  readonly pod?: boolean
  /** Further arguments for kube-apiserver; only with a control plane of its own. */
  readonly apiServerArguments?: readonly string[]
}

/** A namespace that no other test file uses. */
export function newNamespace(): string {
  return `team-${randomBytes(4).toString('hex')}`
}

/**
 * Prepares a namespace in the control plane that test files share. The groups `engineers` (of
 * certificates) and `oidc:engineers` (of tokens) have the ClusterRole `edit` there, and no rights
 * elsewhere. For tests that leave everything outside of their namespace as it is.
 */
export async function joinCluster(options: ClusterOptions): Promise<Cluster> {
  const shared = inject('sharedControlPlane')
  if (shared === undefined) throw new Error('the real parts are missing')
  const controlPlane = { ...shared, namespace: options.namespace }
  const { admin, ...cluster } = await prepare(controlPlane, options)
  const namespace = ['namespace', options.namespace]
  // Its pod would run until the end of all test files.
  const stop = () => succeed(admin, ['delete', '--wait=false', ...namespace])
  return { ...cluster, admin, stop }
}

/** A control plane of its own with a namespace as of `joinCluster`, for tests that change or stop it. */
export async function startCluster(options: Partial<ClusterOptions> = {}): Promise<Cluster> {
  const { namespace = 'team-a', pod = true, apiServerArguments = [] } = options
  const { stop, failed, ...parts } = await startControlPlane({
    kubelet: pod,
    apiServerArguments: [...apiServerArguments],
  })
  failed.catch(() => undefined)
  const controlPlane = { ...parts, namespace }
  try {
    await applyManifests(createKubectl(controlPlane))
    return { ...(await prepare(controlPlane, { namespace, pod })), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function prepare(
  controlPlane: TestControlPlane,
  { namespace, pod = true }: ClusterOptions,
): Promise<Omit<Cluster, 'stop'>> {
  const admin = createKubectl(controlPlane)
  if (pod) await runPod(controlPlane, namespace, 'web')
  else await succeed(admin, ['create', 'namespace', namespace])
  const groups = ['--group=engineers', '--group=oidc:engineers']
  const binding = ['create', 'rolebinding', 'engineers', '--clusterrole=edit', ...groups]
  await succeed(admin, ['-n', namespace, ...binding])

  const directory = await mkdtemp(join(controlPlane.directory, 'gatehouse-'))
  const files = await writeServiceAccountKubeconfig({ ...controlPlane, directory }, admin)
  const events = () => readEvents(controlPlane.auditLogFile)
  return {
    controlPlane,
    admin,
    gatehouseKubeconfig: files.kubeconfig,
    gatehouseTokenFile: files.tokenFile,
    events,
    async eventOf(auditID) {
      for (let i = 0; i < 1_200; i++) {
        const found = (await events()).find(
          (event) => event.auditID === auditID && event.stage === 'ResponseComplete',
        )
        if (found !== undefined) return found
        await sleep(100)
      }
      throw new Error(`kube-apiserver's audit log has no final event of request ${auditID}`)
    },
    async eventsOfGatehouseItself() {
      return (await events()).filter(
        ({ user, impersonatedUser, verb, objectRef, responseStatus }) =>
          user.username === GATEHOUSE_USERNAME &&
          impersonatedUser === undefined &&
          // Read for Gatehouse, to compare its issuing CA with the CAs of the API server.
          !(verb === 'get' && objectRef?.name === 'extension-apiserver-authentication') &&
          responseStatus?.message?.includes('cannot impersonate resource') !== true,
      )
    },
  }
}

async function readEvents(file: string): Promise<readonly ApiServerEvent[]> {
  const lines = (await readFile(file, 'utf8')).split('\n')
  // The last line may be incomplete.
  return lines.slice(0, -1).map((line) => JSON.parse(line) as ApiServerEvent)
}
