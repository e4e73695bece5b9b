/** What receives the messages with which issuers end sign-ins. */
import type { Configuration } from '../config/schema.ts'
import type { Metrics } from '../metrics.ts'
import type { Frame } from '../pipeline/frame.ts'
import { createBackchannelLogout } from '../sign-in/backchannel-logout.ts'
import type { Routes } from '../sign-in/routes.ts'
import { createSecurityEvents } from '../sign-in/security-events.ts'
import type { Built } from './build.ts'

export interface EventHandlersEffects {
  readonly ownHeaders: Frame['ownHeaders']
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
  { ownHeaders, metrics }: EventHandlersEffects,
): Pick<Routes, 'backchannelLogout' | 'securityEvents'> {
  const receivesLogoutTokens =
    signIn.pages !== undefined || authentication.issuers.some((one) => one.backchannelLogout)
  const onResult = (event: string, result: string): void => {
    metrics.securityEvents.inc({ event, result })
  }
  const { store } = revocations.issuers
  const { lifetime } = authentication.revocations
  return {
    backchannelLogout: receivesLogoutTokens
      ? createBackchannelLogout(
          { ownHeaders, store, lifetime },
          {
            verify: verifyLogoutToken,
            onResult: (result) => onResult('backchannel-logout', result),
          },
        )
      : undefined,
    securityEvents:
      securityEvents && createSecurityEvents({ ownHeaders, ...securityEvents, onResult }),
  }
}
