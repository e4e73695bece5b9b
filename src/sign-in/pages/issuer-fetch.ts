import type { CustomFetch } from 'openid-client'

import type { IssuerConnection } from '../../authentication/oidc/issuer-connection.ts'

/** For a whole request, connecting included. */
const TIMEOUT_MS = 10_000

/** An issuer's connection as the `fetch` that openid-client takes. Redirects are not followed. */
export function fetchOver(connection: IssuerConnection): CustomFetch {
  return async (address, { method, headers, body }) => {
    const url = new URL(address)
    if (url.protocol !== 'https:') throw new Error(`${url.href} is not an https URL`)
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const response = await connection.routeTo(url).send(
      url,
      {
        method: method === 'POST' ? 'POST' : 'GET',
        headers: { ...headers, 'accept-encoding': 'identity' },
        body: body instanceof URLSearchParams ? body.toString() : undefined,
      },
      signal,
    )
    const { status } = response
    const bytes = await response.read()
    return new Response(status === 204 || status === 304 ? null : Buffer.from(bytes), {
      status,
      headers: Object.entries(response.headers).flatMap(([name, value = []]) =>
        [value].flat().map((each): [string, string] => [name, each]),
      ),
    })
  }
}
