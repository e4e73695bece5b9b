import { mkdir, mkdtemp } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, type Endpoint } from './api-client.ts'
import {
  apiServerArguments,
  controllerManagerArguments,
  etcdArguments,
  kubeletArguments,
  writeAuditPolicy,
} from './control-plane-arguments.ts'
import { createCredentials, type Credentials } from './control-plane-credentials.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import { part } from './parts.ts'
import type { CertificateFiles } from './pki.ts'
import { createProcessGroup, type ProcessGroup } from './process-group.ts'

/** A running control plane: plain data, so that it can be handed to other processes. */
export interface ControlPlane {
  /** `https://127.0.0.1:PORT`, for clients that trust {@link caFile}. */
  url: string
  caFile: string
  /** A kubeconfig of a member of system:masters. */
  adminKubeconfig: string
  /** The same, as certificate files. */
  admin: CertificateFiles
  /** Signs client certificates that the API server takes as users. */
  clientCA: CertificateFiles
  /**
   * Signs client certificates that may assert X-Remote-User and its like, if their common name is
   * one of {@link frontProxyNames}.
   */
  frontProxyCA: CertificateFiles
  frontProxyNames: string[]
  /** audit.k8s.io/v1 events of the API server, one a line: level Metadata, no RequestReceived. */
  auditLogFile: string
  /** The stand-in node, unless it was not wanted. Its `/sessions` tells what is open. */
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
  /** Rejects when a part ends that nobody stopped; never resolves. */
  failed: Promise<never>
}

/** What may be changed about a control plane. */
export interface ControlPlaneOptions {
  /** With a stand-in node, on which pods run, or without. Default: with. */
  kubelet?: boolean
  /** More arguments for kube-apiserver; of an argument given twice the last counts. */
  apiServerArguments?: string[]
}

const nodeName = 'stand-in'
const frontProxyNames = ['gatehouse', 'front-proxy-client']

/**
 * Starts etcd, kube-apiserver (RBAC on, anonymous off, audit on), kube-controller-manager and the
 * stand-in kubelet on free ports of 127.0.0.1, with certificates made for the occasion; resolves
 * when pods can be made. Parts that are not built yet are built first. All of it ends with this
 * process at the latest. Throws with a part's last log lines when one does not come up.
 */
export async function startControlPlane(
  options: ControlPlaneOptions = {},
): Promise<RunningControlPlane> {
  const wanted = { kubelet: options.kubelet ?? true }
  const binaries = {
    etcd: await part('etcd'),
    apiServer: await part('kube-apiserver'),
    controllerManager: await part('kube-controller-manager'),
    kubelet: wanted.kubelet ? await part('kubelet') : undefined,
    kubectl: await part('kubectl'),
  }
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-control-plane-'))
  const group = createProcessGroup(directory)
  try {
    const credentials = await createCredentials(join(directory, 'pki'))
    const admin = credentials.client.admin
    const [etcdPort, etcdPeerPort, apiServerPort] = await freePorts(3)
    const url = `https://127.0.0.1:${apiServerPort}`
    const api: Endpoint = { url, caFile: credentials.servingCA.certFile, ...admin }
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
        frontProxyNames,
        auditLogFile,
        auditPolicyFile: await writeAuditPolicy(directory),
      }),
      ...(options.apiServerArguments ?? []),
    ])
    await until('kube-apiserver is ready', group, async () => {
      return (await ask(api, 'GET', '/readyz')).status === 200
    })
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
    await until('the default service account is there', group, async () => {
      const path = '/api/v1/namespaces/default/serviceaccounts/default'
      return (await ask(api, 'GET', path)).status === 200
    })

    return {
      url,
      caFile: credentials.servingCA.certFile,
      adminKubeconfig,
      admin,
      clientCA: credentials.clientCA,
      frontProxyCA: credentials.frontProxyCA,
      frontProxyNames,
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

/**
 * Makes a pod on the stand-in node (and its namespace, if it is not there) and resolves when it
 * runs. Its container `main` prints "tick N" five times a second and "echo: LINE" for each line of
 * its stdin. Throws with the API server's words when it cannot be made, or does not run in 30 s.
 */
export async function runPod(
  controlPlane: ControlPlane,
  namespace: string,
  name: string,
): Promise<void> {
  const api: Endpoint = {
    url: controlPlane.url,
    caFile: controlPlane.caFile,
    ...controlPlane.admin,
  }
  await ask(api, 'POST', '/api/v1/namespaces', { metadata: { name: namespace } })
  const pods = `/api/v1/namespaces/${namespace}/pods`
  const pod = {
    metadata: { name, labels: { app: name } },
    spec: { containers: [{ name: 'main', image: 'none.invalid/main' }] },
  }
  let answer = { status: 0, body: '' }
  await until(`pod ${namespace}/${name} runs`, undefined, async () => {
    answer = await ask(api, 'GET', `${pods}/${name}`)
    if (answer.status === 200) return phase(answer.body) === 'Running'
    // Refused (403) for about a second after its namespace is new: no default service account yet.
    answer = await ask(api, 'POST', pods, pod)
    return false
  }).catch((error: unknown) => {
    throw new Error(`${String(error)}; last answer: ${answer.status} ${answer.body}`)
  })
}

function phase(pod: string): string | undefined {
  return (JSON.parse(pod) as { status?: { phase?: string } }).status?.phase
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
    kubeletArguments(credentials, kubeconfig, root, nodeName),
  )
  const { address } = JSON.parse(line) as { address: string }
  return {
    nodeName,
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

/** Asks every 100 ms until the answer is yes; throws when a part ends or after 30 s. */
async function until(
  what: string,
  group: ProcessGroup | undefined,
  holds: () => Promise<boolean>,
): Promise<void> {
  const end = Date.now() + 30_000
  let last: unknown
  while (Date.now() < end) {
    try {
      if (await holds()) return
    } catch (error) {
      last = error
    }
    await Promise.race([sleep(100), ...(group === undefined ? [] : [group.failed])])
  }
  throw new Error(`waited 30 s in vain until ${what}`, { cause: last })
}

/** Ports that are free now. All are held until the last is found, so that they differ. */
async function freePorts(count: 3): Promise<[number, number, number]>
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject).listen(0, '127.0.0.1', resolve)
      })
      return server
    }),
  )
  return Promise.all(
    servers.map(async (server) => {
      const { port } = server.address() as AddressInfo
      await new Promise((resolve) => server.close(resolve))
      return port
    }),
  )
}
