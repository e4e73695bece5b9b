/** The API servers that a first run can use: the playground, a real control plane, or a cluster. */
import { join, resolve } from 'node:path'
import { UPSTREAM_COMMON_NAME, type DevelopmentCertificates } from '../../certs-dev/generate.ts'
import { callApi } from '../parts/api-client.ts'
import { adminOf, startControlPlane, type ControlPlane } from '../parts/control-plane.ts'
import { writeKubeconfig } from '../parts/kubeconfig.ts'
import { partsAvailable } from '../parts/parts.ts'
import { issueCertificate } from '../parts/pki.ts'
import { runPod } from '../parts/run-pod.ts'
import { OLDEST_GO } from '../parts/versions.ts'
import { startPlayground } from '../playground/server.ts'
import { ada, grace } from './users.ts'

/** An API server behind Gatehouse. */
export interface Upstream {
  readonly kind: 'playground' | 'cluster' | 'kubeconfig'
  /** Path of a kubeconfig with Gatehouse's own credential. */
  readonly kubeconfig: string
  /** Path of a kubectl of the same version, if there is one. */
  readonly kubectl?: string
  /** Rejects when the API server ends without being stopped. */
  readonly failed?: Promise<never>
  close(): Promise<void>
}

/** The API server of a kubeconfig. Nothing in the cluster is changed or stopped. */
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
    proxy: UPSTREAM_COMMON_NAME,
  })
  const kubeconfig = await writeKubeconfig(join(directory, 'upstream.kubeconfig'), {
    url: playground.url,
    caFile: certificates.ca.certFile,
    ...certificates.upstream,
  })
  return { kind: 'playground', kubeconfig, close: () => playground.close() }
}

/**
 * Starts a real control plane with one pod, `default/web`. The two users are cluster-admin there, and
 * Gatehouse may impersonate them and do nothing else. Parts that are not built yet are built first.
 * Throws when they cannot be built.
 */
export async function controlPlaneUpstream(directory: string): Promise<Upstream> {
  if (!(await partsAvailable()).available) {
    throw new Error(
      `the first run with --cluster builds kube-apiserver and etcd and needs Go ${OLDEST_GO} or newer on the PATH (https://go.dev/dl)`,
    )
  }
  const controlPlane = await startControlPlane()
  try {
    const certificate = await issueCertificate(controlPlane.clientCA, directory, 'upstream', {
      commonName: UPSTREAM_COMMON_NAME,
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

const RBAC_GROUP = 'rbac.authorization.k8s.io'
const user = (name: string): object => ({ apiGroup: RBAC_GROUP, kind: 'User', name })

/** The rules of deploy/kubernetes/10-rbac.yaml, narrowed to the users and groups of this run. */
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
  const api = adminOf(controlPlane)
  const create = async (resource: string, object: object): Promise<void> => {
    const path = `/apis/${RBAC_GROUP}/v1/${resource}`
    const { status, body } = await callApi(api, 'POST', path, object)
    if (status !== 201) throw new Error(`creating ${resource} failed: ${status} ${body}`)
  }
  const bind = (name: string, role: string, subjects: readonly object[]): Promise<void> =>
    create('clusterrolebindings', {
      metadata: { name },
      roleRef: { apiGroup: RBAC_GROUP, kind: 'ClusterRole', name: role },
      subjects,
    })
  // Not the name in the manifest: applying the manifest here must not remove these rights.
  const role = 'gatehouse-dev-impersonator'
  await create('clusterroles', { metadata: { name: role }, rules: impersonation })
  await bind(role, role, [user(UPSTREAM_COMMON_NAME)])
  await bind('development-users', 'cluster-admin', [user(ada.username), user(grace.username)])
}
