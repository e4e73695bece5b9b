/** TLS to the API server; all in PEM. */
export interface UpstreamTls {
  readonly ca: string
  readonly cert: string | undefined
  readonly key: string | undefined
  /** Name that the certificate must have: `tls-server-name` of the kubeconfig, else the URL's host. */
  readonly serverName: string
}

export interface UpstreamEndpoint {
  /** Name or address, without brackets. The scheme is always `https`. */
  readonly hostname: string
  readonly port: number
  /** `host[:port]` as sent in `Host`. */
  readonly host: string
  readonly tls: UpstreamTls
}

/** `upstream.connections`; timeouts in milliseconds. */
export interface ConnectionLimits {
  /** For short requests. */
  readonly maxConnections: number
  readonly connectTimeout: number
  readonly idleTimeout: number
  readonly responseHeaderTimeout: number
  /** How long a client may stall while sending a body or reading a short response. */
  readonly stallTimeout: number
  /** Milliseconds that a client may take to send the whole body of a request that is not a stream. */
  readonly bodyTimeout: number
}

/** The endpoint at a URL without a path; its certificate must be for `serverName`, else for the URL's host. */
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
