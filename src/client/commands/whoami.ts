import type { ClientHost } from '../host.ts'
import { obtainSession } from '../obtain-session.ts'
import { requestReview, requestWhoAmI } from '../whoami-request.ts'
import { effectsOf, sessionIdOf, type CommonOptions } from './environment.ts'
import { credentialOf } from '../session/freshness.ts'
import { formatted, type Output } from './output.ts'

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
  const id = sessionIdOf(host, url, options)
  const effects = effectsOf(host, options)
  // A sign-in with a password has a certificate and no token.
  const certificate = (await effects.store.read(id))?.secrets.idToken === ''
  const session = await obtainSession(
    {
      ...{ id, maySignIn: false, force: false, acceptSharedClient: false },
      ...{ browser: undefined, device: false, certificate },
    },
    effects,
  )
  const { server } = id
  const { credential } = credentialOf(session, certificate)
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
      ['Signed in by', certificate ? method : `${method}: ${issuer} (client ${clientID})`],
      [
        certificate ? 'Certificate expires' : 'Token expires',
        expiresAt === '' ? 'unknown' : expiresAt,
      ],
      ['Requests', requests],
    ]),
  )
}
