import { createAuthority, type Authority, type KeyPair } from '../../certs-dev/pki.ts'

export interface ApiServerCertificates {
  /** Signs the API server's certificate. */
  readonly authority: Authority
  /** Signs the certificates of its clients. */
  readonly clientAuthority: Authority
  readonly serving: KeyPair
  /** Gatehouse's client certificate for it. */
  readonly gatehouse: KeyPair
}

/** Creates the certificates of a fake API server, and of Gatehouse as its client. */
export async function createApiServerCertificates(): Promise<ApiServerCertificates> {
  const [authority, clientAuthority] = await Promise.all([
    createAuthority({ commonName: 'api-server' }),
    createAuthority({ commonName: 'api-clients' }),
  ])
  const [serving, gatehouse] = await Promise.all([
    authority.issue({ commonName: 'api', ipAddresses: ['127.0.0.1'], usages: ['server'] }),
    clientAuthority.issue({ commonName: 'gatehouse', usages: ['client'] }),
  ])
  return { authority, clientAuthority, serving, gatehouse }
}
