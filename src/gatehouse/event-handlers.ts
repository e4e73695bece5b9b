/** What receives the messages with which issuers end sign-ins. */
import type { Configuration } from '../config/schema.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Frame } from '../pipeline/frame.ts'
import { createBackchannelLogout } from '../sign-in/backchannel-logout.ts'
import type { Routes } from '../sign-in/routes.ts'
import { createSecurityEvents } from '../sign-in/security-events.ts'
import type { Built } from './build.ts'
import { createEventResults } from './event-results.ts'

export interface EventHandlersEffects {
  readonly ownHeaders: Frame['ownHeaders']
  readonly log: Log
  readonly metrics: Pick<Metrics, 'securityEvents'>
}

/** Those that the configuration asks for. */
export function eventHandlers(
  {
    revocations,
    securityEvents,
    verifyLogoutToken,
  }: Pick<Built, 'revocations' | 'securityEvents' | 'verifyLogoutToken'>,
  { authentication, signIn }: Configuration,
  { ownHeaders, ...reporting }: EventHandlersEffects,
): Pick<Routes, 'backchannelLogout' | 'securityEvents'> {
  const receivesLogoutTokens =
    signIn.pages !== undefined || authentication.issuers.some((one) => one.backchannelLogout)
  const onResult = createEventResults(reporting)
  const { store } = revocations.issuers
  const { lifetime } = authentication.revocations
  return {
    backchannelLogout: receivesLogoutTokens
      ? createBackchannelLogout(
          { ownHeaders, store, lifetime },
          {
            verify: verifyLogoutToken,
            onResult: (...of) => onResult('backchannel-logout', ...of),
          },
        )
      : undefined,
    securityEvents:
      securityEvents && createSecurityEvents({ ownHeaders, ...securityEvents, onResult }),
  }
}
