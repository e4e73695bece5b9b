/** What can stand behind Gatehouse: the playground, a real control plane, or a cluster of yours. */
import { join, resolve } from 'node:path'
import { upstreamCommonName, type DevelopmentCertificates } from '../../certs-dev/generate.ts'
import { ask, type Endpoint } from '../parts/api-client.ts'
import { runPod, startControlPlane, type ControlPlane } from '../parts/control-plane.ts'
import { writeKubeconfig } from '../parts/kubeconfig.ts'
import { partsAvailable } from '../parts/parts.ts'
import { issueCertificate } from '../parts/pki.ts'
import { oldestGo } from '../parts/versions.ts'
import { startPlayground } from '../playground/server.ts'
import { ada, grace } from './users.ts'

/** An API server for Gatehouse. */
export interface Upstream {
  readonly kind: 'playground' | 'cluster' | 'kubeconfig'
  /** With Gatehouse's own credential. */
  readonly kubeconfig: string
  /** A kubectl that came with it. */
  readonly kubectl?: string
  /** Rejects when it ends by itself. */
  readonly failed?: Promise<never>
  close(): Promise<void>
}

/** The API server that a kubeconfig names; nothing in it is changed, and it goes on afterwards. */
export function existingCluster(kubeconfig: string): Upstream {
  return { kind: 'kubeconfig', kubeconfig: resolve(kubeconfig), close: async () => undefined }
}

/** Starts the playground. */
export async function playgroundUpstream(
  directory: string,
  certificates: DevelopmentCertificates,
): Promise<Upstream> {
  const playground = await startPlayground({
    serving: certificates.serving,
    clientCAFile: certificates.upstreamCA.certFile,
    proxy: upstreamCommonName,
  })
  const kubeconfig = await writeKubeconfig(join(directory, 'upstream.kubeconfig'), {
    url: playground.url,
    caFile: certificates.ca.certFile,
    ...certificates.upstream,
  })
  return { kind: 'playground', kubeconfig, close: () => playground.close() }
}

/**
 * Starts a real control plane with one pod, `default/web`; the two users are cluster-admin there, and
 * Gatehouse may act on behalf of them and nothing else. Builds the parts first where they are not
 * there yet. Throws when they cannot be had.
 */
export async function controlPlaneUpstream(directory: string): Promise<Upstream> {
  if (!(await partsAvailable()).available) {
    throw new Error(
      `--cluster needs Go ${oldestGo} or newer in PATH the first time, to build kube-apiserver and etcd (https://go.dev/dl)`,
    )
  }
  const controlPlane = await startControlPlane()
  try {
    const certificate = await issueCertificate(controlPlane.clientCA, directory, 'upstream', {
      commonName: upstreamCommonName,
    })
    await grantRights(controlPlane)
    await runPod(controlPlane, 'default', 'web')
    const kubeconfig = await writeKubeconfig(join(directory, 'upstream.kubeconfig'), {
      url: controlPlane.url,
      caFile: controlPlane.caFile,
      ...certificate,
    })
    return {
      kind: 'cluster',
      kubeconfig,
      kubectl: controlPlane.kubectl,
      failed: controlPlane.failed,
      close: () => controlPlane.stop(),
    }
  } catch (error) {
    await controlPlane.stop()
    throw error
  }
}

const rbac = 'rbac.authorization.k8s.io'
const user = (name: string): object => ({ apiGroup: rbac, kind: 'User', name })

/** deploy/kubernetes/10-rbac.yaml, narrowed to the names that there are here. */
const impersonation = [
  {
    apiGroups: [''],
    resources: ['users'],
    verbs: ['impersonate'],
    resourceNames: [ada.username, grace.username, 'gatehouse:readyz'],
  },
  {
    apiGroups: [''],
    resources: ['groups'],
    verbs: ['impersonate'],
    resourceNames: [...ada.groups, ...grace.groups, 'system:authenticated'],
  },
  {
    apiGroups: ['authentication.k8s.io'],
    resources: ['userextras/authentication.kubernetes.io/credential-id'],
    verbs: ['impersonate'],
  },
]

async function grantRights(controlPlane: ControlPlane): Promise<void> {
  const api: Endpoint = {
    url: controlPlane.url,
    caFile: controlPlane.caFile,
    ...controlPlane.admin,
  }
  const create = async (resource: string, object: object): Promise<void> => {
    const { status, body } = await ask(api, 'POST', `/apis/${rbac}/v1/${resource}`, object)
    if (status !== 201) throw new Error(`${resource} cannot be made: ${status} ${body}`)
  }
  const bind = (name: string, role: string, subjects: readonly object[]): Promise<void> =>
    create('clusterrolebindings', {
      metadata: { name },
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: role },
      subjects,
    })
  // Not the manifest's name: to apply that here must not take these rights away.
  const role = 'gatehouse-dev-impersonator'
  await create('clusterroles', { metadata: { name: role }, rules: impersonation })
  await bind(role, role, [user(upstreamCommonName)])
  await bind('development-users', 'cluster-admin', [user(ada.username), user(grace.username)])
}
