/**
 * A real control plane to which deploy/kubernetes has been applied, with a pod and with rights for the
 * users of the tests. Gatehouse's upstream credential is a token of the service account from these
 * manifests, so Gatehouse has the rights of their ClusterRole and no others.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { startControlPlane, type RunningControlPlane } from '../../dev/parts/control-plane.ts'
import { runPod } from '../../dev/parts/run-pod.ts'
import { createKubectl, type Kubectl } from './kubectl.ts'
import { manifestsFolder } from './manifests.ts'
import { writeServiceAccountKubeconfig } from './service-account.ts'

/** Gatehouse's user name at the API server. */
export const GATEHOUSE_USERNAME = 'system:serviceaccount:gatehouse:gatehouse'

/** The fields of kube-apiserver's `audit.k8s.io/v1` events that the tests read. */
export interface ApiServerEvent {
  readonly auditID: string
  readonly stage: string
  readonly verb: string
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

export interface Cluster {
  readonly controlPlane: RunningControlPlane
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

/**
 * Starts a cluster with a namespace `team-a` and a pod `web` in it. The groups `engineers` (of
 * certificates) and `oidc:engineers` (of tokens) have the ClusterRole `edit` there, and no rights
 * elsewhere.
 */
export async function startCluster(options: { readonly pod?: boolean } = {}): Promise<Cluster> {
  const controlPlane = await startControlPlane({ kubelet: options.pod ?? true })
  try {
    const admin = createKubectl(controlPlane)
    for (const file of ['00-namespace.yaml', '10-rbac.yaml']) {
      await succeed(admin, ['apply', '-f', join(manifestsFolder, file)])
    }
    if (options.pod ?? true) await runPod(controlPlane, 'team-a', 'web')
    else await succeed(admin, ['create', 'namespace', 'team-a'])
    const groups = ['--group=engineers', '--group=oidc:engineers']
    const binding = ['create', 'rolebinding', 'engineers', '--clusterrole=edit', ...groups]
    await succeed(admin, ['-n', 'team-a', ...binding])

    const { kubeconfig, tokenFile } = await writeServiceAccountKubeconfig(controlPlane, admin)
    const events = () => readEvents(controlPlane.auditLogFile)
    return {
      controlPlane,
      admin,
      gatehouseKubeconfig: kubeconfig,
      gatehouseTokenFile: tokenFile,
      events,
      async eventOf(auditID) {
        for (let i = 0; i < 200; i++) {
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
          ({ user, impersonatedUser, responseStatus }) =>
            user.username === GATEHOUSE_USERNAME &&
            impersonatedUser === undefined &&
            responseStatus?.message?.includes('cannot impersonate resource') !== true,
        )
      },
      stop: () => controlPlane.stop(),
    }
  } catch (error) {
    await controlPlane.stop()
    throw error
  }
}

async function succeed(kubectl: Kubectl, args: readonly string[]): Promise<void> {
  const { code, stderr } = await kubectl(args)
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`)
}

async function readEvents(file: string): Promise<readonly ApiServerEvent[]> {
  const lines = (await readFile(file, 'utf8')).split('\n')
  // The last line may be incomplete.
  return lines.slice(0, -1).map((line) => JSON.parse(line) as ApiServerEvent)
}
