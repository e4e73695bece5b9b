import { mkdir } from 'node:fs/promises'
import type { CertificateFiles } from '../../certs-dev/files.ts'
import { createAuthority, createKeyPair, issueCertificate } from './pki.ts'

/** Every certificate and key of a control plane. */
export interface Credentials {
  /** Signs the serving certificates of the API server and the kubelet. */
  servingCA: CertificateFiles
  /** Signs the certificates of the API server's users. */
  clientCA: CertificateFiles
  frontProxyCA: CertificateFiles
  /** Signs both certificates between the API server and etcd, and no others. */
  etcdCA: CertificateFiles
  /** Signs the kubelet's only client, which may execute anything there. */
  kubeletClientCA: CertificateFiles
  apiServer: CertificateFiles
  kubelet: CertificateFiles
  kubeletClient: CertificateFiles
  etcd: CertificateFiles
  etcdClient: CertificateFiles
  /** Users of the API server, all members of system:masters. */
  client: Record<'admin' | 'controllerManager' | 'kubelet', CertificateFiles>
  serviceAccount: { publicFile: string; keyFile: string }
}

const loopback = ['127.0.0.1', 'localhost']

/** Creates all of them in a folder that only its owner can read. */
export async function createCredentials(directory: string): Promise<Credentials> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const [servingCA, clientCA, frontProxyCA, etcdCA, kubeletClientCA, serviceAccount] =
    await Promise.all([
      createAuthority(directory, 'serving-ca'),
      createAuthority(directory, 'client-ca'),
      createAuthority(directory, 'front-proxy-ca'),
      createAuthority(directory, 'etcd-ca'),
      createAuthority(directory, 'kubelet-client-ca'),
      createKeyPair(directory, 'service-account'),
    ])
  const serve = (authority: CertificateFiles, name: string, hosts: string[]) =>
    issueCertificate(authority, directory, name, { commonName: name, hosts })
  const user = (authority: CertificateFiles, commonName: string, organizations: string[] = []) =>
    issueCertificate(authority, directory, commonName.replaceAll(':', '-'), {
      commonName,
      organizations,
    })
  const masters = ['system:masters']
  const [apiServer, kubelet, etcd, etcdClient, kubeletClient] = await Promise.all([
    serve(servingCA, 'kube-apiserver', [...loopback, '10.0.0.1', 'kubernetes.default.svc']),
    serve(servingCA, 'kubelet', loopback),
    serve(etcdCA, 'etcd', loopback),
    user(etcdCA, 'kube-apiserver-etcd-client'),
    user(kubeletClientCA, 'kube-apiserver-kubelet-client'),
  ])
  const [admin, controllerManager, kubeletUser] = await Promise.all([
    user(clientCA, 'kubernetes-admin', masters),
    user(clientCA, 'system:kube-controller-manager', masters),
    user(clientCA, 'stand-in-kubelet', masters),
  ])
  return {
    servingCA,
    clientCA,
    frontProxyCA,
    etcdCA,
    kubeletClientCA,
    apiServer,
    kubelet,
    kubeletClient,
    etcd,
    etcdClient,
    client: { admin, controllerManager, kubelet: kubeletUser },
    serviceAccount,
  }
}
