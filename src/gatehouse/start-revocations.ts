/** Puts the ends of sign-ins into effect, and ends the streams that were opened with them. */
import type { Issuer } from '../authentication/oidc/authentication-config.ts'
import type { Configuration } from '../config/schema.ts'
import type { Locks } from '../locks/locks.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { LiveRequests } from '../pipeline/live-requests.ts'
import { createMemoryRevocationStore } from '../revocations/memory-store.ts'
import { createRedisRevocationStore } from '../revocations/redis-store.ts'
import { createRevocationSet, type RevocationSet } from '../revocations/revocation-set.ts'
import { createRevocations, type Revocations } from '../revocations/revocations.ts'
import type { RevocationStore } from '../revocations/store.ts'
import type { SharedStore } from '../state/shared-store.ts'

/** Revocations that are kept in one place. */
export interface RevocationKeeper {
  readonly set: RevocationSet
  readonly store: RevocationStore
}

export interface StartedRevocations {
  readonly revocations: Revocations
  /** What issuers have ended. */
  readonly issuers: RevocationKeeper
  /** The sessions of the pages from which their users have signed out; undefined without pages. */
  readonly pages: RevocationKeeper | undefined
  /** Why nobody knows what has ended; undefined once it was read. */
  readonly missing: string | undefined
  close(): void
}

export interface RevocationsEffects {
  readonly live: Pick<LiveRequests, 'endWhere'>
  readonly log: Log
  readonly metrics: Pick<Metrics, 'revocations' | 'revocationsAge'>
  /** Undefined without Redis. */
  readonly store: SharedStore | undefined
}

/** About 10 MB. */
const MAX_REVOCATIONS = 50_000

export function startRevocations(
  { authentication, signIn, locks }: Configuration,
  { live, log, metrics, store }: RevocationsEffects,
): StartedRevocations {
  const covered = coveredIssuers(authentication)
  const hasPages = signIn.pages !== undefined
  const { lifetime } = authentication.revocations

  function keep(collection: 'sign-ins' | 'pages', isUsed: boolean, onChanged: () => void) {
    const set = createRevocationSet({ now: Date.now, onChanged })
    const onSize = (size: number): void => metrics.revocations.set({ collection }, size)
    const limits = { maxEntries: MAX_REVOCATIONS }
    if (store === undefined || !isUsed) {
      return { set, store: createMemoryRevocationStore(limits, { set, onSize }) }
    }
    const { maxStaleness, onStale } = locks
    const kept = createRedisRevocationStore(
      {
        ...{ ...limits, maxStaleness, onStale },
        name: collection === 'pages' ? 'ended-pages' : 'revocations',
      },
      {
        ...{ store, set, log, onSize },
        onAge: (seconds) => metrics.revocationsAge.set({ collection }, seconds),
      },
    )
    return { set, store: kept }
  }

  const issuers: RevocationKeeper = keep('sign-ins', covered.size > 0 || hasPages, () => {
    const ended = live.endWhere(({ authentication: one }) => revocations.endOf(one))
    if (ended > 0) log.info({ streams: ended }, 'ended streams whose sign-in was ended')
  })
  const pages = hasPages ? keep('pages', true, () => undefined) : undefined
  const revocations = createRevocations(
    { lifetime, isCovered: (issuer) => covered.has(issuer) },
    { set: issuers.set, unavailable: () => issuers.store.unavailable },
  )
  return {
    ...{ revocations, issuers, pages },
    get missing() {
      // Pages give nobody anything that would have to wait for it.
      return covered.size === 0 ? undefined : issuers.store.missing
    },
    close() {
      issuers.store.close()
      pages?.store.close()
    },
  }
}

/** The issuers that may end sign-ins for the Kubernetes API. */
function coveredIssuers({
  issuers,
  securityEvents,
}: Configuration['authentication']): ReadonlySet<string> {
  return new Set([
    ...logoutIssuers(issuers),
    ...securityEvents.transmitters.flatMap((transmitter) => transmitter.issuers),
  ])
}

function logoutIssuers(issuers: Configuration['authentication']['issuers']): readonly string[] {
  return issuers.filter((one) => one.backchannelLogout).map(({ url }) => url)
}

/** The client IDs for which an issuer may send logout tokens. */
export function logoutClientsOf({
  authentication,
  signIn: { pages },
}: Pick<Configuration, 'authentication' | 'signIn'>): (issuer: Issuer) => readonly string[] {
  const covered = logoutIssuers(authentication.issuers)
  return ({ url, audiences }) => [
    ...(covered.includes(url) ? audiences : []),
    ...(pages?.issuer === url ? [pages.clientID] : []),
  ]
}

/** Whoever asks about locks asks about the ends of sign-ins as well, first. */
export function withRevocations(
  locks: Locks,
  { refusalOf }: Pick<Revocations, 'refusalOf'>,
): Locks {
  return {
    ...locks,
    refusalOf: (authentication, ...where) =>
      refusalOf(authentication) ?? locks.refusalOf(authentication, ...where),
  }
}
