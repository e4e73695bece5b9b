import type { KeyPair } from '../../certs-dev/pki.ts'

/** The user of a kubeconfig, with a client certificate inline. */
export function certificateUser(pair: KeyPair): Record<string, string> {
  return {
    'client-certificate-data': base64(pair.certificatePem),
    'client-key-data': base64(pair.keyPem),
  }
}

/** PEM as in the `-data` fields of a kubeconfig. */
export function base64(pem: string): string {
  return Buffer.from(pem).toString('base64')
}
