/** The pollers of all transmitters from which events are fetched. */
import { createJsonFetcher } from '../authentication/oidc/json-fetch.ts'
import type { SignInCheck } from '../authentication/sign-in.ts'
import type { ProxyFor } from '../config/egress-proxy.ts'
import { createPoller, type Poller, type PollerEffects } from './poller.ts'
import type { LoadedTransmitter, PollDelivery } from './transmitters.ts'

export interface Pollers {
  /** Puts transmitters into effect; what is fetched in the same way as before goes on. */
  update(next: readonly LoadedTransmitter[]): void
  readiness(): readonly SignInCheck[]
  close(): void
}

export interface PollersEffects extends Pick<PollerEffects, 'timing' | 'log'> {
  readonly proxyFor: ProxyFor
  /** What takes the events of a transmitter. */
  readonly takeFrom: (transmitter: string) => PollerEffects['take']
}

/** Creates the list, empty until the first `update`. */
export function createPollers({ proxyFor, takeFrom, ...effects }: PollersEffects): Pollers {
  /** By transmitter and how it is reached. */
  let active: ReadonlyMap<string, Poller & { readonly transmitter: string }> = new Map()

  function start(
    { options: { issuer: transmitter }, access }: LoadedTransmitter,
    poll: PollDelivery,
  ) {
    const { certificateAuthority, proxy } = access
    const fetcher = createJsonFetcher({ certificateAuthority, proxyFor, proxy })
    const poller = createPoller(
      { transmitter, ...poll },
      { ...effects, send: (...request) => fetcher.send(...request), take: takeFrom(transmitter) },
    )
    return {
      ...{ ...poller, transmitter },
      close() {
        poller.close()
        fetcher.close()
      },
    }
  }

  return {
    update(next) {
      const earlier = active
      active = new Map(
        next.flatMap((one) => {
          const { poll, access, options } = one
          if (poll === undefined) return []
          const { certificateAuthority, proxy } = access
          const id = JSON.stringify([options.issuer, poll, certificateAuthority, proxy])
          return [[id, earlier.get(id) ?? start(one, poll)] as const]
        }),
      )
      for (const [id, poller] of earlier) if (!active.has(id)) poller.close()
    },
    readiness: () =>
      [...active.values()].map((poller) => ({
        name: `security-events poll ${poller.transmitter}`,
        problem: poller.problem(),
        wasTried: poller.wasTried(),
        way: undefined,
      })),
    close() {
      for (const poller of active.values()) poller.close()
    },
  }
}
