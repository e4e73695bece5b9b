import type { UpstreamEndpoint } from './transport.ts'

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
