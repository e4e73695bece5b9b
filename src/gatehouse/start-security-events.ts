/** Puts the transmitters of security events into effect. */
import type { Auditor } from '../audit/record.ts'
import { SYSTEM_TIMING } from '../authentication/oidc/jwks.ts'
import type { SignInCheck } from '../authentication/sign-in.ts'
import type { ProxyFor } from '../config/egress-proxy.ts'
import type { Configuration } from '../config/schema.ts'
import type { ConfigurationReading } from '../config/load.ts'
import type { LockStore } from '../locks/store.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { filesOf, loadTransmitters, secretFilesOf } from '../security-events/load.ts'
import { createPollers } from '../security-events/pollers.ts'
import { createEventReceiver, type EventReceiver } from '../security-events/receiver.ts'
import {
  createTransmitters,
  type LoadedTransmitter,
  type Transmitters,
} from '../security-events/transmitters.ts'
import { warnOfReaders } from './certificate-report.ts'
import { createEventResults } from './event-results.ts'
import { takePolledEvents } from './polled-events.ts'
import { startReloadable, type LoadedPart, type Part, type Reloadable } from './reloadable.ts'
import type { RevocationKeeper } from './start-revocations.ts'

export interface StartedSecurityEvents {
  readonly transmitters: Transmitters
  readonly receiver: EventReceiver
  readonly reloadable: Reloadable
  /** Whether keys and events of the transmitters can be fetched. */
  readiness(): readonly SignInCheck[]
  close(): void
}

export interface SecurityEventsEffects {
  readonly log: Log
  readonly metrics: Pick<Metrics, 'securityEvents'>
  readonly proxyFor: ProxyFor
  readonly issuers: RevocationKeeper
  readonly lockStore: LockStore
  readonly auditor: Pick<Auditor, 'open'>
}

/** The files of `authentication.securityEvents`; undefined without transmitters. */
export function securityEventsPart({
  configuration,
}: Pick<ConfigurationReading, 'configuration'>): Part<readonly LoadedTransmitter[]> | undefined {
  const transmitters = configuration?.authentication.securityEvents.transmitters ?? []
  if (transmitters.length === 0) return undefined
  return {
    what: 'security events',
    files: () => transmitters.flatMap(filesOf),
    load: () => loadTransmitters(transmitters),
    report: () => ({ warnings: warnOfReaders(transmitters.flatMap(secretFilesOf)) }),
  }
}

/** Begins to fetch the keys of the transmitters, and events of those that do not push. */
export function startSecurityEvents(
  loaded: LoadedPart<readonly LoadedTransmitter[]>,
  { revocations: { lifetime } }: Pick<Configuration['authentication'], 'revocations'>,
  { log, metrics, proxyFor, issuers, lockStore, auditor }: SecurityEventsEffects,
): StartedSecurityEvents {
  const transmitters = createTransmitters(
    { timing: SYSTEM_TIMING, proxyFor, maxAge: lifetime },
    { log },
  )
  const receiver = createEventReceiver({ lifetime }, { ...issuers, lockStore })
  const onResult = createEventResults({ log, metrics })
  const pollers = createPollers({
    ...{ log, proxyFor, timing: SYSTEM_TIMING },
    takeFrom: (transmitter) =>
      takePolledEvents(transmitter, {
        ...{ auditor, receiver, log, onResult },
        senderOf: (token) => transmitters.senderOf(token),
      }),
  })
  return {
    ...{ transmitters, receiver },
    reloadable: startReloadable(loaded, (next) => {
      transmitters.update(next)
      pollers.update(next)
    }),
    readiness: () => [...transmitters.readiness(), ...pollers.readiness()],
    close() {
      pollers.close()
      transmitters.close()
    },
  }
}
