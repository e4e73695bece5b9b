/** TLS to the API server. */
export interface UpstreamTls {
  readonly ca: string
  readonly cert: string | undefined
  readonly key: string | undefined
  /** Name that the certificate must carry; the host of the URL unless a kubeconfig says otherwise. */
  readonly serverName: string
}

export interface UpstreamEndpoint {
  /** Name or address, without brackets; the scheme is always `https`. */
  readonly hostname: string
  readonly port: number
  /** `host[:port]` as it goes into `Host`. */
  readonly host: string
  readonly tls: UpstreamTls
}

export interface ConnectionLimits {
  readonly maxConnections: number
  /** Milliseconds. */
  readonly connectTimeout: number
  readonly idleTimeout: number
  readonly responseHeaderTimeout: number
  /** How long a client may neither read its answer nor send its body, where that is its turn. */
  readonly stallTimeout: number
}

/** An endpoint of a URL without path, its TLS checked for `serverName` or else for the URL's host. */
export function endpointOf(
  url: URL,
  tls: { ca: string; cert: string | undefined; key: string | undefined },
  serverName: string | undefined,
): UpstreamEndpoint {
  const hostname = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname
  return {
    hostname,
    port: url.port === '' ? 443 : Number(url.port),
    host: url.host,
    tls: { ...tls, serverName: serverName ?? hostname },
  }
}
