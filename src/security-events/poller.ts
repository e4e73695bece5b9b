/** Fetches security events from a transmitter that keeps them until they are fetched (RFC 8936). */
import type { Timing } from '../authentication/oidc/jwks.ts'
import { isJsonObject } from '../authentication/oidc/strict-json.ts'
import type { SendHttp } from '../groups/group-source.ts'
import { throttledLog } from '../log-throttle.ts'
import type { Log } from '../log.ts'
import type { SetError } from './set-error.ts'

export interface PollerOptions {
  readonly transmitter: string
  readonly url: string
  /** The `Authorization` header. */
  readonly authorization: string
}

export interface PollerEffects {
  /** Rejects with an Error. */
  readonly send: SendHttp
  readonly timing: Pick<Timing, 'schedule'>
  readonly log: Log
  /**
   * Puts an event into effect; never rejects.
   *
   * @param id by which the transmitter knows it
   */
  readonly take: (token: string, id: string) => Promise<Verdict>
}

/** What becomes of an event: it is acknowledged, reported as refused, or the transmitter keeps it. */
export type Verdict = 'taken' | 'later' | SetError

export interface Poller {
  /** Why events cannot be fetched; undefined when they can. */
  problem(): string | undefined
  wasTried(): boolean
  close(): void
}

/** Events of one response. They are in memory together, and acknowledged together. */
const MAX_EVENTS = 20
/** Events that could not be put into effect, and behind which others are asked for. */
const MAX_POSTPONED = 200
/** The transmitter responds once it has an event, and some do so at once. */
const TIMEOUT_MS = 60_000
/** Between two requests when nothing came. */
const IDLE_MS = 1_000
/** After events that were put into effect: a transmitter that repeats what was acknowledged must not keep this replica busy. */
const BUSY_MS = 50
const FIRST_RETRY_MS = 1_000
const MAX_RETRY_MS = 60_000

interface Batch {
  readonly events: readonly (readonly [id: string, token: string])[]
  readonly isMoreAvailable: boolean
}

/** Creates it, and begins to fetch. */
export function createPoller(
  { transmitter, url, authorization }: PollerOptions,
  { send, timing, log, take }: PollerEffects,
): Poller {
  const closing = new AbortController()
  const throttled = throttledLog(log)
  /** Reported with the next request, which the transmitter may not receive. */
  let acknowledged: readonly string[] = []
  let refused: Readonly<Record<string, { readonly err: string; readonly description: string }>> = {}
  /** Which events the transmitter must keep: those behind them come first. */
  let postponed: ReadonlySet<string> = new Set()
  let failures = 0
  let failure: string | undefined = 'no response yet'
  let cancelTimer = (): void => undefined

  async function fetchBatch(): Promise<Batch> {
    const body = {
      maxEvents: MAX_EVENTS + postponed.size,
      ...{ returnImmediately: false, ack: acknowledged },
      ...(Object.keys(refused).length === 0 ? {} : { setErrs: refused }),
    }
    const headers = {
      ...{ authorization, 'content-type': 'application/json', 'content-language': 'en' },
    }
    const request = { method: 'POST', headers, body: JSON.stringify(body) } as const
    const signal = AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), closing.signal])
    const { status, json } = await send(new URL(url), request, signal)
    if (status !== 200) throw new Error(`${url} responded with HTTP ${status}`)
    acknowledged = []
    refused = {}
    return readBatch(json)
  }

  /** @returns whether all that were tried were put into effect */
  async function takeAll(events: Batch['events']): Promise<boolean> {
    const [taken, errors, later] = [[] as string[], new Map<string, SetError>(), [] as string[]]
    const ordered = [
      ...events.filter(([id]) => !postponed.has(id)),
      ...events.filter(([id]) => postponed.has(id)),
    ]
    for (const [id, token] of ordered.slice(0, MAX_EVENTS)) {
      const verdict = await take(token, id)
      if (verdict === 'taken') taken.push(id)
      else if (verdict === 'later') later.push(id)
      else errors.set(id, verdict)
    }
    const untried = ordered.slice(MAX_EVENTS).map(([id]) => id)
    // Those that were tried last come last.
    postponed = new Set(
      [...untried.filter((id) => postponed.has(id)), ...later].slice(0, MAX_POSTPONED),
    )
    acknowledged = taken
    refused = Object.fromEntries(
      [...errors].map(([id, { code, message }]) => [id, { err: code, description: message }]),
    )
    return later.length === 0 && errors.size === 0
  }

  /** @returns after how many milliseconds the next request is sent */
  async function turn(): Promise<number> {
    try {
      const batch = await fetchBatch()
      const isGood = await takeAll(batch.events)
      failures = 0
      failure = undefined
      const isBusy = batch.events.length > 0 || batch.isMoreAvailable
      return isBusy && isGood ? BUSY_MS : IDLE_MS
    } catch (error) {
      failures += 1
      failure = error instanceof Error ? error.message : String(error)
      if (!closing.signal.aborted) {
        throttled.warn({ transmitter, reason: failure }, 'security events could not be fetched')
      }
      return Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10), MAX_RETRY_MS)
    }
  }

  function run(): void {
    void turn().then((delay) => {
      if (!closing.signal.aborted) cancelTimer = timing.schedule(run, delay)
    })
  }

  run()
  return {
    problem: () => failure,
    wasTried: () => failure === undefined || failures > 0,
    close() {
      closing.abort(new Error('closed'))
      cancelTimer()
    },
  }
}

/** Section 2.3. What is beyond the number that was asked for comes again: it is not acknowledged. */
function readBatch(json: unknown): Batch {
  const sets = isJsonObject(json) ? json['sets'] : undefined
  if (!isJsonObject(json) || !isJsonObject(sets)) throw new Error('the response has no sets')
  const events = Object.entries(sets).flatMap(([id, token]) =>
    typeof token === 'string' ? [[id, token] as const] : [],
  )
  return {
    events: events.slice(0, MAX_EVENTS + MAX_POSTPONED),
    isMoreAvailable: json['moreAvailable'] === true,
  }
}
