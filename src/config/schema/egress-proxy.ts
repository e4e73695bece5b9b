/** The proxy by which a server of an issuer is reached. */
import { z } from 'zod'

import { inputFile, proxyUrl } from '../fields.ts'

/** @param server what is reached through it */
export const egressProxy = (server: string, reload: { readonly reload: string }) =>
  z
    .strictObject({
      url: proxyUrl,
      certificateAuthorityFile: inputFile(
        'CA certificates that verify a proxy with an https URL, a PEM bundle. If unset, the CAs that ' +
          'Node trusts',
        reload,
      ).optional(),
      credentialsFile: inputFile(
        'USER:PASSWORD for the proxy, on one line (Basic authentication, RFC 7617)',
        reload,
      ).optional(),
    })
    .describe(
      `The proxy (HTTP CONNECT) through which ${server} is reached, in place of the one in HTTPS_PROXY. ` +
        `NO_PROXY has no effect on it. TLS is end to end: the proxy sees only the name of ${server}.`,
    )
