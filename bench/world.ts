/** What all peers share: certificates, upstream, issuer and token. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { CertificateFiles } from '../certs-dev/files.ts'
import { goProgram } from '../dev/parts/go-program.ts'
import { createAuthority, issueCertificate } from '../dev/parts/pki.ts'
import { startIssuer, type Issuer } from './issuer.ts'
import { startProcess } from './processes.ts'
import { waitUntilReady } from './ready.ts'

/** The paths that the load requests from the upstream. */
export const paths = {
  pod: '/api/v1/namespaces/default/pods/web',
  /** 5 MB, with a Content-Length. */
  list: '/api/v1/pods',
  /** The same, chunked. */
  listInPiecesOf2KB: '/api/v1/namespaces/pieces-2k/pods',
  listInPiecesOf32KB: '/api/v1/namespaces/pieces-32k/pods',
  watch: '/api/v1/pods?watch=1',
  exec: '/api/v1/namespaces/default/pods/web/exec',
  /** A POST, which counts as a change. */
  review: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
} as const

export interface World {
  /** Signs every serving certificate. */
  ca: CertificateFiles
  /** The serving certificate of the peers. */
  serving: CertificateFiles
  /** The client certificate that the peers present to the upstream. */
  client: CertificateFiles
  upstream: { url: string; pid: number }
  issuer: Issuer
  close: () => Promise<void>
}

/** Builds one of the bench's Go programs; returns the path of the binary. */
export function benchProgram(name: string): Promise<string> {
  return goProgram(name, join(import.meta.dirname, 'go'))
}

/** Creates the certificates, and starts upstream and issuer. */
export async function createWorld(): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-bench-'))
  const removeFolder = () => rm(directory, { recursive: true, force: true })
  try {
    const [ca, clientCA] = await Promise.all([
      createAuthority(directory, 'serving-ca'),
      createAuthority(directory, 'client-ca'),
    ])
    const serve = (name: string) =>
      issueCertificate(ca, directory, name, { commonName: name, hosts: ['127.0.0.1', 'localhost'] })
    const [serving, upstreamServing, issuerServing, client] = await Promise.all([
      serve('proxy'),
      serve('kube-apiserver'),
      serve('issuer'),
      issueCertificate(clientCA, directory, 'gatehouse', { commonName: 'gatehouse' }),
    ])
    const upstream = await startProcess('upstream', async (port) => ({
      file: await benchProgram('upstream'),
      args: [
        `-listen=127.0.0.1:${port}`,
        `-cert=${upstreamServing.certFile}`,
        `-key=${upstreamServing.keyFile}`,
        `-client-ca=${clientCA.certFile}`,
      ],
    }))
    const issuer = await startIssuer(issuerServing)
    const close = async () => {
      issuer.close()
      await upstream.stop()
      await removeFolder()
    }
    try {
      const endpoint = { url: upstream.url, path: '/version', caFile: ca.certFile }
      await Promise.race([waitUntilReady({ ...endpoint, certificate: client }), upstream.failed])
    } catch (error) {
      await close()
      throw error
    }
    return { ca, serving, client, upstream, issuer, close }
  } catch (error) {
    await removeFolder()
    throw error
  }
}
