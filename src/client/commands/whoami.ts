import type { ClientHost } from '../host.ts'
import { requestReview, requestWhoAmI } from '../whoami-request.ts'
import type { CommonOptions } from './environment.ts'
import { formatted, type Output } from './output.ts'
import { requireSignIn } from './signed-in.ts'

export interface WhoAmIOptions extends CommonOptions {
  readonly output: Output
}

/**
 * Shows how Gatehouse sees the user, and where a request is refused: by Gatehouse's sign-in, or behind it,
 * by its rules or the API server. It never opens a window.
 */
export async function whoami(
  url: string | undefined,
  options: WhoAmIOptions,
  host: ClientHost,
): Promise<void> {
  const { id, session, credential, hasNoToken } = await requireSignIn(url, options, host)
  const { server } = id
  const seen = await requestWhoAmI(server, credential)
  const refused = await requestReview(server, credential)
  const { username, uid, groups, method, expiresAt } = seen
  const { issuer, clientID } = session.facts
  const requests = refused === undefined ? 'accepted' : `refused: ${refused}`
  const value = {
    server: server.origin,
    username,
    uid,
    groups,
    method,
    expiresAt,
    issuer,
    clientID,
  }
  host.writeOut(
    formatted(options.output, { ...value, requests }, [
      ['Server', server.origin],
      ['User', username],
      ...(uid === '' ? [] : [['UID', uid] as const]),
      ['Groups', groups.join(', ')],
      ['Signed in by', hasNoToken ? method : `${method}: ${issuer} (client ${clientID})`],
      [
        hasNoToken ? 'Certificate expires' : 'Token expires',
        expiresAt === '' ? 'unknown' : expiresAt,
      ],
      ['Requests', requests],
    ]),
  )
}
