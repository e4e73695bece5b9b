/** The issuers that are configured, each with the sources of its keys and groups. */
import { isDeepStrictEqual } from 'node:util'

import type { ProxyFor } from '../../config/egress-proxy.ts'
import { throttledLog } from '../../log-throttle.ts'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import type { AuthenticationConfiguration, Issuer } from './authentication-config.ts'
import { createPeriodicCheck, type PeriodicCheck } from '../periodic-check.ts'
import { createIssuerGroups, type IssuerGroups } from './issuer-groups.ts'
import { createJsonFetcher } from './json-fetch.ts'
import { createKeySource, createStaticKeySource, type KeySource, type Timing } from './jwks.ts'

/** How long keys are used while the issuer is unreachable, without options for it. */
const KEY_LIFETIME_MS = 24 * 3_600_000

export interface ActiveIssuer {
  readonly configuration: Issuer
  readonly keys: KeySource
  /** Undefined: all groups are in the tokens. */
  readonly groups: StartedGroups | undefined
}

export interface StartedGroups extends IssuerGroups {
  /** Undefined for a source that has everything in memory. */
  readonly health: PeriodicCheck | undefined
  close(): void
}

export interface ActiveIssuers {
  /** The issuer with this URL. */
  get(url: string): ActiveIssuer | undefined
  all(): readonly ActiveIssuer[]
  /** Issuers that are in the previous configuration as well keep their keys and groups. */
  update(next: AuthenticationConfiguration): void
  close(): void
}

export interface ActiveIssuersOptions {
  readonly timing: Timing
  /** For the issuers' documents. */
  readonly proxyFor: ProxyFor
}

export interface ActiveIssuersEffects {
  readonly log: Log
  readonly metrics: Pick<Metrics, 'issuerKeysFetched' | 'issuerCachedKeyUses' | 'groupLookups'>
  /** An issuer has withdrawn a key. */
  readonly onKeyDropped: () => void
  /** A source has other groups for a user than before. */
  readonly onGroupsChanged: () => void
}

/** Creates the list, empty until the first `update`, which begins to fetch keys. */
export function createActiveIssuers(
  { timing, proxyFor }: ActiveIssuersOptions,
  { log, metrics, onKeyDropped, onGroupsChanged }: ActiveIssuersEffects,
): ActiveIssuers {
  let issuers: ReadonlyMap<string, ActiveIssuer> = new Map()

  /** Issuers of the configuration by URL; key sources are reused from `earlier` where they match. */
  function activate(
    next: AuthenticationConfiguration,
    earlier: ReadonlyMap<string, ActiveIssuer>,
  ): ReadonlyMap<string, ActiveIssuer> {
    return new Map(
      next.issuers.map((issuer) => {
        const known = earlier.get(issuer.url)
        const keys =
          known !== undefined && hasSameKeys(known.configuration, issuer)
            ? known.keys
            : keySourceOf(issuer)
        const groups =
          known !== undefined && hasSameGroups(known.configuration, issuer)
            ? known.groups
            : groupsOf(issuer)
        return [issuer.url, { configuration: issuer, keys, groups }]
      }),
    )
  }

  function keySourceOf({ url, discoveryUrl, certificateAuthority, access }: Issuer): KeySource {
    if (access?.keys !== undefined) return createStaticKeySource(access.keys.usable)
    const fetching = { certificateAuthority, proxyFor, proxy: access?.proxy }
    return createKeySource(
      { issuer: url, discoveryUrl, keyLifetime: access?.keyLifetime ?? KEY_LIFETIME_MS },
      {
        ...{ fetcher: createJsonFetcher(fetching), timing, log, onKeyDropped },
        onFetched: () => metrics.issuerKeysFetched.set({ issuer: url }, timing.clock() / 1_000),
        onCachedKeyUsed: () => metrics.issuerCachedKeyUses.inc({ issuer: url }),
      },
    )
  }

  function groupsOf({ url, access }: Issuer): StartedGroups | undefined {
    if (access?.groupSource === undefined) return undefined
    const { groupSource, proxy } = access
    const { certificateAuthority } = groupSource
    const fetcher = createJsonFetcher({ certificateAuthority, proxyFor, proxy })
    const groups = createIssuerGroups(groupSource, {
      clock: timing.clock,
      send: (to, request, signal) => fetcher.send(to, request, signal),
      onChanged: onGroupsChanged,
      onResult(result, reason) {
        metrics.groupLookups.inc({ issuer: url, result })
        if (result !== 'failed' || reason === undefined) return
        throttledLog(log).warn({ issuer: url, reason }, 'groups of a user could not be looked up')
      },
    })
    const onChange = (problem: string | undefined): void => {
      if (problem === undefined) log.info({ issuer: url }, 'the source of groups works again')
      else log.warn({ issuer: url, problem }, 'the source of groups does not work')
    }
    const health = groups.check && createPeriodicCheck({ probe: groups.check, onChange })
    const close = (): void => {
      health?.close()
      fetcher.close()
    }
    return { ...groups, health, close }
  }

  function forget({ keys, configuration: { url } }: ActiveIssuer): void {
    keys.close()
    // Set again by the next fetch, if the issuer has only another way to its keys.
    metrics.issuerKeysFetched.remove({ issuer: url })
    metrics.issuerCachedKeyUses.remove({ issuer: url })
  }

  return {
    get: (url) => issuers.get(url),
    all: () => [...issuers.values()],
    update(next) {
      const earlier = issuers
      issuers = activate(next, earlier)
      const keptGroups = new Set([...issuers.values()].map(({ groups }) => groups))
      for (const { groups } of earlier.values()) if (!keptGroups.has(groups)) groups?.close()
      const kept = new Set([...issuers.values()].map(({ keys }) => keys))
      for (const issuer of earlier.values()) if (!kept.has(issuer.keys)) forget(issuer)
    },
    close() {
      for (const { keys, groups } of issuers.values()) {
        keys.close()
        groups?.close()
      }
    },
  }
}

function hasSameKeys(a: Issuer, b: Issuer): boolean {
  return keySourceId(a) === keySourceId(b)
}

/** Equal for issuers whose keys are had in the same way. */
function keySourceId({ discoveryUrl, certificateAuthority, access }: Issuer): string {
  const { keys, proxy, keyLifetime } = access ?? { keyLifetime: KEY_LIFETIME_MS }
  const fingerprints = keys?.usable.map(({ fingerprint }) => fingerprint)
  return JSON.stringify({ discoveryUrl, certificateAuthority, fingerprints, proxy, keyLifetime })
}

function hasSameGroups(a: Issuer, b: Issuer): boolean {
  return isDeepStrictEqual(groupsId(a), groupsId(b))
}

/** Equal for issuers whose groups are looked up in the same way. */
function groupsId({ access }: Issuer): unknown {
  const { groupSource, proxy } = access ?? {}
  if (groupSource === undefined) return undefined
  const { serviceAccountKey, ...rest } = groupSource
  const key = serviceAccountKey?.privateKey.export({ type: 'pkcs8', format: 'pem' })
  const account = { ...serviceAccountKey, privateKey: key }
  return { rest, account, proxy }
}
