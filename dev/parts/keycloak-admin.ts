import { Agent, request } from 'undici'

/** Where an administrator of Keycloak signs in, to the realm `master`. */
export interface KeycloakAdministrator {
  url: string
  /** The CA of its serving certificate, PEM. */
  ca: string
  username: string
  password: string
}

/**
 * Calls Keycloak's admin API: a path below `/admin`, and a body that is sent as JSON. Returns the JSON
 * of the response; for what was created, which has none, its ID. Throws for every status from 400 on.
 */
export type KeycloakAdmin = (
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: unknown,
) => Promise<unknown>

/** Creates a {@link KeycloakAdmin}. It signs in for every call, since its tokens last for a minute. */
export function createKeycloakAdmin(administrator: KeycloakAdministrator): KeycloakAdmin {
  const { url, ca, username, password } = administrator
  return async (method, path, body) => {
    const dispatcher = new Agent({ connect: { ca } })
    try {
      const call = async (
        target: string,
        options: { method: string; headers: Record<string, string>; body?: string },
      ) => {
        const response = await request(`${url}${target}`, { dispatcher, ...options })
        const text = await response.body.text()
        if (response.statusCode >= 400) {
          throw new Error(`Keycloak, ${options.method} ${target}: ${response.statusCode} ${text}`)
        }
        return { text, location: response.headers['location'] }
      }
      const signIn = await call('/realms/master/protocol/openid-connect/token', {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({
          ...{ grant_type: 'password', client_id: 'admin-cli', username, password },
        }).toString(),
      })
      const { access_token: token } = JSON.parse(signIn.text) as { access_token: string }
      const { text, location } = await call(`/admin${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      if (text !== '') return JSON.parse(text) as unknown
      return typeof location === 'string' ? location.split('/').at(-1) : null
    } finally {
      await dispatcher.close()
    }
  }
}
