import { createAuthority, type Authority, type KeyPair } from '../../certs-dev/pki.ts'

export interface ApiServerCertificates {
  /** Vouches for the API server. */
  readonly authority: Authority
  /** Vouches for its clients. */
  readonly clientAuthority: Authority
  readonly serving: KeyPair
  /** What Gatehouse shows it. */
  readonly gatehouse: KeyPair
}

/** Certificates of an API server that is made up, and of Gatehouse as its client. */
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
