/** Who may send security events, and the verification of what they send. */
import type { ProxyFor } from '../config/egress-proxy.ts'
import type { Log } from '../log.ts'
import type { SignInCheck } from '../authentication/sign-in.ts'
import { readCompactJws, type UnverifiedToken } from '../authentication/oidc/compact-jws.ts'
import type { IssuerAccess } from '../authentication/oidc/issuer-access.ts'
import { createJsonFetcher } from '../authentication/oidc/json-fetch.ts'
import {
  createKeySource,
  createStaticKeySource,
  type KeySource,
  type Timing,
} from '../authentication/oidc/jwks.ts'
import { verifySignature } from '../authentication/oidc/token-signature.ts'
import { quote } from '../authentication/quote.ts'
import type { Configuration } from '../config/schema.ts'
import { retryAfter, StatusError } from '../status.ts'
import { readEventToken, type SecurityEvent } from './event-token.ts'
import { SetError } from './set-error.ts'

export type TransmitterOptions =
  Configuration['authentication']['securityEvents']['transmitters'][number]

/** A transmitter with what its files hold. */
export interface LoadedTransmitter {
  readonly options: TransmitterOptions
  readonly access: IssuerAccess
  /** Undefined for a transmitter that does not push. */
  readonly push: PushDelivery | undefined
  /** Undefined for a transmitter from which nothing is fetched. */
  readonly poll: PollDelivery | undefined
}

export interface PushDelivery {
  /** The `Authorization` header that it must send; undefined: none is required. */
  readonly authorization: string | undefined
}

export interface PollDelivery {
  readonly url: string
  /** The `Authorization` header that Gatehouse sends. */
  readonly authorization: string
}

export interface Transmitters {
  /** Puts transmitters into effect; those that are in the previous ones as well keep their keys. */
  update(next: readonly LoadedTransmitter[]): void
  /** The transmitter that a token names, which is not verified. @throws SetError */
  senderOf(token: string): Sender
  /** Whether their keys are there. */
  readiness(): readonly SignInCheck[]
  close(): void
}

/** A token, and the transmitter that it names. */
export interface Sender {
  readonly transmitter: LoadedTransmitter
  /** Rejects with SetError, and with StatusError 503 while there are no keys. */
  verify(): Promise<SecurityEvent>
}

export interface TransmittersOptions {
  readonly timing: Timing
  readonly proxyFor: ProxyFor
  /** Milliseconds after which an event is too old. */
  readonly maxAge: number
}

interface Active {
  readonly loaded: LoadedTransmitter
  readonly keys: KeySource
}

/** RFC 8417 section 2.3; RFC 8725 section 3.11: what was signed for another purpose is not an event. */
const TYPE = 'secevent+jwt'
const RETRY_SECONDS = 5

/** Creates the list, empty until the first `update`. */
export function createTransmitters(
  { timing, proxyFor, maxAge }: TransmittersOptions,
  { log }: { readonly log: Log },
): Transmitters {
  let active: ReadonlyMap<string, Active> = new Map()

  function keySourceOf({ options, access }: LoadedTransmitter): KeySource {
    if (access.keys !== undefined) return createStaticKeySource(access.keys.usable)
    const { certificateAuthority, proxy, keyLifetime } = access
    return createKeySource(
      {
        ...{ issuer: options.issuer, keyLifetime },
        discoveryUrl: options.configurationURL ?? wellKnownURL(options.issuer),
      },
      {
        fetcher: createJsonFetcher({ certificateAuthority, proxyFor, proxy }),
        ...{ timing, log },
        // An event that was accepted stays in effect.
        onKeyDropped: () => undefined,
        onFetched: () => undefined,
        onCachedKeyUsed: () => undefined,
      },
    )
  }

  async function verify(
    token: string,
    unverified: UnverifiedToken,
    { loaded: { options }, keys }: Active,
  ): Promise<SecurityEvent> {
    const { issuer: transmitter, audiences, issuers } = options
    const { payload } = await verifySignature(token, unverified, keys).catch((error: unknown) => {
      // The transmitter is to send the event again: it may be valid.
      throw keys.problem() === undefined ? asSetError('invalid_key', error) : withoutKeys(error)
    })
    const now = timing.clock()
    return readEventToken(payload, { transmitter, audiences, issuers, now, maxAge })
  }

  return {
    update(next) {
      const earlier = active
      active = new Map(
        next.map((loaded) => {
          const known = earlier.get(loaded.options.issuer)
          const keys =
            known !== undefined && keysId(known.loaded) === keysId(loaded)
              ? known.keys
              : keySourceOf(loaded)
          return [loaded.options.issuer, { loaded, keys }]
        }),
      )
      const kept = new Set([...active.values()].map(({ keys }) => keys))
      for (const { keys } of earlier.values()) if (!kept.has(keys)) keys.close()
    },
    senderOf(token) {
      const unverified = parse(token)
      const sender = active.get(unverified.issuer)
      if (sender === undefined) {
        throw new SetError(
          'invalid_issuer',
          `no transmitter has the issuer ${quote(unverified.issuer)}`,
        )
      }
      return { transmitter: sender.loaded, verify: () => verify(token, unverified, sender) }
    },
    readiness: () =>
      [...active.values()].map(({ loaded, keys }) => ({
        name: `security-events ${loaded.options.issuer}`,
        problem: keys.problem(),
        wasTried: keys.wasTried(),
        way: undefined,
      })),
    close() {
      for (const { keys } of active.values()) keys.close()
    },
  }
}

function parse(token: string): UnverifiedToken {
  try {
    const unverified = readCompactJws(token)
    if (unverified.type === TYPE) return unverified
  } catch (error) {
    throw asSetError('invalid_request', error)
  }
  throw new SetError('invalid_request', `the token is not of the type (typ) ${TYPE}`)
}

/** Of a 401, the cause is what is wrong with the token. */
function asSetError(code: 'invalid_request' | 'invalid_key', error: unknown): SetError {
  if (!(error instanceof StatusError)) throw error
  const { cause } = error
  return new SetError(code, cause instanceof Error ? cause.message : error.message)
}

function withoutKeys(cause: unknown): StatusError {
  return new StatusError('ServiceUnavailable', 'the keys of the transmitter are not available', {
    cause,
    ...retryAfter(RETRY_SECONDS),
  })
}

/** Shared Signals Framework 1.0 section 7.2: between host and path. */
function wellKnownURL(issuer: string): string {
  const { origin, pathname } = new URL(issuer)
  return `${origin}/.well-known/ssf-configuration${pathname.replace(/\/$/, '')}`
}

/** Equal for transmitters whose keys are had in the same way. */
function keysId({ options, access }: LoadedTransmitter): string {
  const { keys, certificateAuthority, proxy, keyLifetime } = access
  const fingerprints = keys?.usable.map(({ fingerprint }) => fingerprint)
  const { configurationURL } = options
  return JSON.stringify([configurationURL, certificateAuthority, fingerprints, proxy, keyLifetime])
}
