import type { Credential } from '../exec/exec-credential.ts'
import type { ClientHost } from '../host.ts'
import { obtainSession } from '../obtain-session.ts'
import { credentialOf } from '../session/freshness.ts'
import type { Session, SessionId } from '../session/session.ts'
import { effectsOf, sessionIdOf, type CommonOptions } from './environment.ts'

export interface SignedIn {
  readonly id: SessionId
  readonly session: Session
  /** What is sent to the server. */
  readonly credential: Credential
  /** Whether it is a certificate alone, of a sign-in with a password. */
  readonly hasNoToken: boolean
}

/**
 * The sign-in that a command is about. It never opens a window.
 *
 * @throws ClientFailure when there is none
 */
export async function requireSignIn(
  url: string | undefined,
  options: CommonOptions,
  host: ClientHost,
): Promise<SignedIn> {
  const id = sessionIdOf(host, url, options)
  const effects = effectsOf(host, options)
  const hasNoToken = (await effects.store.read(id))?.secrets.token === ''
  const session = await obtainSession(
    {
      ...{ id, maySignIn: false, force: false, acceptSharedClient: false },
      ...{ browser: undefined, device: false, certificate: hasNoToken },
    },
    effects,
  )
  return { id, session, credential: credentialOf(session, hasNoToken).credential, hasNoToken }
}
