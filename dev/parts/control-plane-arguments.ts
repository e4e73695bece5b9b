import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { Credentials } from './control-plane-credentials.ts'
import { versions } from './versions.ts'

/** etcd on loopback, for the API server's client certificate only, without fsync. */
export function etcdArguments(
  directory: string,
  credentials: Credentials,
  port: number,
  peerPort: number,
): string[] {
  const url = `https://127.0.0.1:${port}`
  const peerUrl = `http://127.0.0.1:${peerPort}`
  return [
    '--name=etcd',
    `--data-dir=${join(directory, 'etcd')}`,
    '--unsafe-no-fsync',
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=etcd=${peerUrl}`,
    `--cert-file=${credentials.etcd.certFile}`,
    `--key-file=${credentials.etcd.keyFile}`,
    `--trusted-ca-file=${credentials.etcdCA.certFile}`,
    '--client-cert-auth',
    '--log-level=warn',
  ]
}

/** Settings of the API server that differ between runs. */
export interface ApiServerSettings {
  port: number
  etcdPort: number
  credentials: Credentials
  frontProxyNames: string[]
  auditLogFile: string
  auditPolicyFile: string
}

/** kube-apiserver as behind Gatehouse: RBAC, no anonymous access, audit log, front proxy. */
export function apiServerArguments(settings: ApiServerSettings): string[] {
  const { credentials } = settings
  return [
    '--bind-address=127.0.0.1',
    `--secure-port=${settings.port}`,
    '--advertise-address=127.0.0.1',
    // There is no pod network, so the `kubernetes` service cannot have endpoints.
    '--endpoint-reconciler-type=none',
    `--tls-cert-file=${credentials.apiServer.certFile}`,
    `--tls-private-key-file=${credentials.apiServer.keyFile}`,
    `--etcd-servers=https://127.0.0.1:${settings.etcdPort}`,
    `--etcd-cafile=${credentials.etcdCA.certFile}`,
    `--etcd-certfile=${credentials.etcdClient.certFile}`,
    `--etcd-keyfile=${credentials.etcdClient.keyFile}`,
    '--anonymous-auth=false',
    '--authorization-mode=RBAC',
    `--client-ca-file=${credentials.clientCA.certFile}`,
    `--requestheader-client-ca-file=${credentials.frontProxyCA.certFile}`,
    `--requestheader-allowed-names=${settings.frontProxyNames.join(',')}`,
    '--requestheader-username-headers=X-Remote-User',
    '--requestheader-uid-headers=X-Remote-Uid',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--service-account-key-file=${credentials.serviceAccount.publicFile}`,
    `--service-account-signing-key-file=${credentials.serviceAccount.keyFile}`,
    '--service-cluster-ip-range=10.0.0.0/24',
    `--kubelet-certificate-authority=${credentials.servingCA.certFile}`,
    `--kubelet-client-certificate=${credentials.kubeletClient.certFile}`,
    `--kubelet-client-key=${credentials.kubeletClient.keyFile}`,
    '--kubelet-preferred-address-types=InternalIP',
    `--audit-policy-file=${settings.auditPolicyFile}`,
    `--audit-log-path=${settings.auditLogFile}`,
    '--profiling=false',
  ]
}

/** Writes the API server's audit policy and returns its path: every request, once, without bodies. */
export async function writeAuditPolicy(directory: string): Promise<string> {
  const file = join(directory, 'audit-policy.yaml')
  const policy = {
    apiVersion: 'audit.k8s.io/v1',
    kind: 'Policy',
    omitStages: ['RequestReceived'],
    rules: [{ level: 'Metadata' }],
  }
  await writeFile(file, stringify(policy))
  return file
}

/** The controllers of a real cluster, including those that create the default service accounts. */
export function controllerManagerArguments(credentials: Credentials, kubeconfig: string): string[] {
  return [
    `--kubeconfig=${kubeconfig}`,
    '--use-service-account-credentials',
    '--leader-elect=false',
    '--secure-port=0',
    // With the default of 20 requests per second, it takes 5 s to get a token for each controller.
    '--kube-api-qps=500',
    '--kube-api-burst=1000',
    `--root-ca-file=${credentials.servingCA.certFile}`,
    `--service-account-private-key-file=${credentials.serviceAccount.keyFile}`,
    `--cluster-signing-cert-file=${credentials.clientCA.certFile}`,
    `--cluster-signing-key-file=${credentials.clientCA.keyFile}`,
  ]
}

/** The stand-in kubelet on a free port, for the API server's kubelet client only. */
export function kubeletArguments(
  credentials: Credentials,
  kubeconfig: string,
  root: string,
  nodeName: string,
): string[] {
  return [
    '-address=127.0.0.1:0',
    `-tls-cert-file=${credentials.kubelet.certFile}`,
    `-tls-private-key-file=${credentials.kubelet.keyFile}`,
    `-client-ca-file=${credentials.kubeletClientCA.certFile}`,
    `-kubeconfig=${kubeconfig}`,
    `-kubernetes-version=${versions.kubernetes}`,
    `-node-name=${nodeName}`,
    `-root-dir=${root}`,
  ]
}
