import { mkdir, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CertificateFiles } from '../../certs-dev/files.ts'
import { callApi, type Endpoint } from './api-client.ts'
import {
  apiServerArguments,
  controllerManagerArguments,
  etcdArguments,
  kubeletArguments,
  writeAuditPolicy,
} from './control-plane-arguments.ts'
import { createCredentials, type Credentials } from './control-plane-credentials.ts'
import { freePorts } from './free-ports.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import { part } from './parts.ts'
import { createProcessGroup, type ProcessGroup } from './process-group.ts'
import { waitUntil } from './wait-until.ts'

/** A running control plane: plain data, so that it can be passed to other processes. */
export interface ControlPlane {
  /** `https://127.0.0.1:PORT`, for clients that trust {@link caFile}. */
  url: string
  caFile: string
  /** A kubeconfig of a member of system:masters. */
  adminKubeconfig: string
  /** The same credential, as certificate files. */
  admin: CertificateFiles
  /** Signs client certificates that the API server accepts as users. */
  clientCA: CertificateFiles
  /**
   * Signs client certificates that may send X-Remote-User and the headers like it, if their common
   * name is one of {@link frontProxyNames}.
   */
  frontProxyCA: CertificateFiles
  frontProxyNames: string[]
  /** audit.k8s.io/v1 events of the API server, one per line: level Metadata, no RequestReceived. */
  auditLogFile: string
  /** The stand-in node, unless it was left out. Its `/sessions` lists the open sessions. */
  kubelet?: Endpoint & { nodeName: string }
  /** Path of a kubectl. */
  kubectl: string
  /** Logs of the parts, certificates, data. Removed when the control plane stops. */
  directory: string
}

/** A control plane that its starter can stop. */
export interface RunningControlPlane extends ControlPlane {
  /** Kills all parts and removes the folder. */
  stop: () => Promise<void>
  /** Rejects when a part ends that was not stopped; never resolves. */
  failed: Promise<never>
}

/** What may differ between control planes. */
export interface ControlPlaneOptions {
  /** Whether to start a stand-in node, on which pods run. Default: true. */
  kubelet?: boolean
  /** Further arguments for kube-apiserver; of an argument that is given twice, the last one counts. */
  apiServerArguments?: string[]
}

const NODE_NAME = 'stand-in'
const FRONT_PROXY_NAMES = ['gatehouse', 'front-proxy-client']

/**
 * Starts etcd, kube-apiserver (RBAC on, anonymous off, audit on), kube-controller-manager and the
 * stand-in kubelet on free ports of 127.0.0.1, with new certificates; resolves when pods can be
 * created. Parts that are not built yet are built first. All of it ends with this process at the
 * latest. Throws with a part's last log lines when the part does not start.
 */
export async function startControlPlane(
  options: ControlPlaneOptions = {},
): Promise<RunningControlPlane> {
  const withKubelet = options.kubelet ?? true
  const binaries = {
    etcd: await part('etcd'),
    apiServer: await part('kube-apiserver'),
    controllerManager: await part('kube-controller-manager'),
    kubelet: withKubelet ? await part('kubelet') : undefined,
    kubectl: await part('kubectl'),
  }
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-control-plane-'))
  const group = createProcessGroup(directory)
  try {
    const credentials = await createCredentials(join(directory, 'pki'))
    const admin = credentials.client.admin
    const [etcdPort = 0, etcdPeerPort = 0, apiServerPort = 0] = await freePorts(3)
    const url = `https://127.0.0.1:${apiServerPort}`
    const caFile = credentials.servingCA.certFile
    const api = adminOf({ url, caFile, admin })
    const auditLogFile = join(directory, 'audit.log')
    const adminKubeconfig = await kubeconfigFor(directory, 'admin', url, credentials)

    await group.start(
      'etcd',
      binaries.etcd,
      etcdArguments(directory, credentials, etcdPort, etcdPeerPort),
    )
    await group.start('kube-apiserver', binaries.apiServer, [
      ...apiServerArguments({
        port: apiServerPort,
        etcdPort,
        credentials,
        frontProxyNames: FRONT_PROXY_NAMES,
        auditLogFile,
        auditPolicyFile: await writeAuditPolicy(directory),
      }),
      ...(options.apiServerArguments ?? []),
    ])
    await waitUntil(
      'kube-apiserver is ready',
      async () => (await callApi(api, 'GET', '/readyz')).status === 200,
      group.failed,
    )
    await group.start(
      'kube-controller-manager',
      binaries.controllerManager,
      controllerManagerArguments(
        credentials,
        await kubeconfigFor(directory, 'controllerManager', url, credentials),
      ),
    )
    const kubelet =
      binaries.kubelet === undefined
        ? undefined
        : await startKubelet(group, binaries.kubelet, directory, url, credentials)
    const serviceAccount = '/api/v1/namespaces/default/serviceaccounts/default'
    await waitUntil(
      'the default service account exists',
      async () => (await callApi(api, 'GET', serviceAccount)).status === 200,
      group.failed,
    )

    return {
      url,
      caFile,
      adminKubeconfig,
      admin,
      clientCA: credentials.clientCA,
      frontProxyCA: credentials.frontProxyCA,
      frontProxyNames: FRONT_PROXY_NAMES,
      auditLogFile,
      ...(kubelet === undefined ? {} : { kubelet }),
      kubectl: binaries.kubectl,
      directory,
      stop: group.stop,
      failed: group.failed,
    }
  } catch (error) {
    await group.stop()
    throw error
  }
}

/** The API server of a control plane, for its administrator. */
export function adminOf(controlPlane: Pick<ControlPlane, 'url' | 'caFile' | 'admin'>): Endpoint {
  const { url, caFile, admin } = controlPlane
  return { url, caFile, ...admin }
}

async function startKubelet(
  group: ProcessGroup,
  binary: string,
  directory: string,
  url: string,
  credentials: Credentials,
): Promise<Endpoint & { nodeName: string }> {
  const root = join(directory, 'pods')
  await mkdir(root)
  const kubeconfig = await kubeconfigFor(directory, 'kubelet', url, credentials)
  const line = await group.startAndReadLine(
    'kubelet',
    binary,
    kubeletArguments(credentials, kubeconfig, root, NODE_NAME),
  )
  const { address } = JSON.parse(line) as { address: string }
  return {
    nodeName: NODE_NAME,
    url: `https://${address}`,
    caFile: credentials.servingCA.certFile,
    ...credentials.kubeletClient,
  }
}

function kubeconfigFor(
  directory: string,
  name: keyof Credentials['client'],
  url: string,
  credentials: Credentials,
): Promise<string> {
  return writeKubeconfig(join(directory, `${name}.kubeconfig`), {
    url,
    caFile: credentials.servingCA.certFile,
    ...credentials.client[name],
  })
}
