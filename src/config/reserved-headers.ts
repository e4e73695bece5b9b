/** Request header fields of a client that never go to the API server, whatever the configuration says. */

/** RFC 9110 section 7.6.1, and fields that servers treat as hop-by-hop by convention. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
])

/** Fields that Gatehouse writes itself, credentials, and statements about the client that only a proxy may make. */
const RESERVED: ReadonlySet<string> = new Set([
  'authorization',
  'audit-id',
  'client-cert',
  'client-cert-chain',
  'content-length',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'proxy',
  'remote-user',
  'true-client-ip',
  'via',
  'x-client-cert',
  'x-http-method-override',
  'x-real-ip',
  'x-ssl-client-cert',
  'x-stream-protocol-version',
])

const RESERVED_PREFIXES = [
  'impersonate-',
  'x-remote-',
  'x-forwarded-',
  'x-original-',
  'proxy-',
  'sec-websocket-',
]

/** @param name lower case; `_` counts as `-`, since some readers treat them alike (CGI) */
export function isReservedHeader(name: string): boolean {
  const folded = name.includes('_') ? name.replaceAll('_', '-') : name
  return (
    folded === '' ||
    HOP_BY_HOP.has(folded) ||
    RESERVED.has(folded) ||
    RESERVED_PREFIXES.some((prefix) => folded.startsWith(prefix))
  )
}
