/** The Secret by which Argo CD knows a cluster. */
import { stringify } from 'yaml'

import type { Server } from '../server.ts'

export interface ArgocdCluster {
  /** What Argo CD calls the cluster. */
  readonly name: string
  readonly server: Server
  /** The namespace of Argo CD. */
  readonly namespace: string
  /** A bearer token of a service account; checked by {@link bearerToken}. */
  readonly token: string
}

/**
 * The manifest, YAML. Its format is that of Argo CD's declarative setup, section "Clusters". Unlike a
 * kubeconfig of this program, it contains a credential.
 */
export function argocdSecret({ name, server, namespace, token }: ArgocdCluster): string {
  const { origin, certificateAuthority } = server
  const caData = Buffer.from(certificateAuthority).toString('base64')
  const config = {
    bearerToken: token,
    tlsClientConfig: { insecure: false, ...(caData === '' ? {} : { caData }) },
  }
  return stringify(
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name: secretName(name),
        namespace,
        labels: { 'argocd.argoproj.io/secret-type': 'cluster' },
      },
      type: 'Opaque',
      stringData: { name, server: origin, config: JSON.stringify(config) },
    },
    { lineWidth: 0 },
  )
}

/** RFC 1123 subdomain (DNS1123Subdomain of apimachinery). */
function secretName(name: string): string {
  const part = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '')
  return `cluster-${part.slice(0, 200)}`.replace(/-$/, '')
}

export interface BearerToken {
  readonly token: string
  /** Milliseconds since the epoch; undefined where the token does not say. */
  readonly expiresAt: number | undefined
}

/**
 * The token in the content of a file, as kubectl prints it.
 *
 * @returns undefined when it is not one token (RFC 6750 section 2.1, b64token)
 */
export function bearerToken(content: string): BearerToken | undefined {
  const token = content.trim()
  if (!/^[A-Za-z0-9._~+/-]+=*$/.test(token)) return undefined
  return { token, expiresAt: expiryOf(token) }
}

function expiryOf(token: string): number | undefined {
  try {
    const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')
    const { exp } = JSON.parse(payload) as { exp?: unknown }
    return typeof exp === 'number' && Math.abs(exp) <= 8.64e12 ? exp * 1_000 : undefined
  } catch {
    return undefined
  }
}
