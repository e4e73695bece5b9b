/** Prometheus metrics. Every label has a limited set of values: never a user, a path or a name. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'

import { Tally } from './tally.ts'

export interface Metrics {
  readonly registry: Registry
  /** Completed requests by what they were for; `verb` is a value of `verbLabel`. */
  readonly requests: Tally<'handler' | 'verb' | 'code' | 'decision'>
  readonly requestDuration: Histogram<'class'>
  readonly requestsInFlight: Tally<'class'>
  readonly requestsWaiting: Gauge<'kind'>
  /** Seconds that requests waited for a place at the API server; those that did not wait are not in it. */
  readonly queueWait: Histogram<'kind'>
  readonly connections: Gauge<'protocol'>
  readonly connectionsRefused: Counter<'reason'>
  readonly authentications: Tally<'method' | 'result'>
  readonly limited: Counter<'limit'>
  readonly bans: Counter
  readonly shadowDecisions: Counter<'rule' | 'effect'>
  readonly auditEvents: Counter<'sink' | 'result'>
  readonly reloads: Counter<'what' | 'result'>
  /** 1 or 0, and when it was last set to 1, in seconds since the epoch, like Prometheus' own metrics. */
  readonly lastReloadSuccessful: Gauge<'what'>
  readonly lastReloadSuccess: Gauge<'what'>
  /** The earliest expiry among the certificates of this kind, in seconds since the epoch. */
  readonly certificateExpiration: Gauge<'certificate'>
  /** Locks in force, by where they were set and what they lock. */
  readonly locks: SampledGauge<'source' | 'target'>
  /** Seconds since all locks in Redis were known. */
  readonly locksAge: Gauge
  /** Ends of sign-ins that are remembered: for the Kubernetes API and pages, and those of pages alone. */
  readonly revocations: Gauge<'collection'>
  /** Seconds since all of them in Redis were known. */
  readonly revocationsAge: Gauge<'collection'>
  /** Logout tokens and security events that were received, by what they say and what became of them. */
  readonly securityEvents: Counter<'event' | 'result'>
  readonly upstreamErrors: Counter<'reason'>
  /** Whether replicas share their state in Redis, or each has its own, as configured. */
  readonly stateUp: Gauge<'type'>
  readonly stateReplicas: Gauge<'type'>
  readonly stateErrors: Counter<'reason'>
  readonly stateDuration: Histogram
  /** When the keys of an issuer were last fetched, in seconds since the epoch. */
  readonly issuerKeysFetched: Gauge<'issuer'>
  readonly issuerCachedKeyUses: Counter<'issuer'>
  /** Lookups of groups by the issuer whose tokens they are for: `ok`, `unknown user` or `failed`. */
  readonly groupLookups: Counter<'issuer' | 'result'>
  /** The result of `/readyz` at the time of the scrape, and of each of its checks by name. */
  readonly ready: Gauge
  readonly checkOk: Gauge<'check'>
}

/** A gauge whose values change by themselves, so that they are read at each scrape. */
export interface SampledGauge<L extends string> {
  /** @param read replaces what was given before; there are no values until the first call */
  sampleFrom(read: () => readonly Sample<L>[]): void
}

export interface Sample<L extends string> {
  readonly labels: Readonly<Record<L, string>>
  readonly value: number
}

const KNOWN_VERBS: ReadonlySet<string> = new Set(
  'get list watch create update patch delete deletecollection proxy head post put options'.split(
    ' ',
  ),
)

/** A verb as a metric label: `other` for a verb that a client invented. */
export function verbLabel(verb: string): string {
  return KNOWN_VERBS.has(verb) ? verb : 'other'
}

export interface MetricsOptions {
  readonly processMetrics: boolean
  /** How many lines of the operational log were dropped since the start; 0 by default. */
  readonly droppedLogLines?: () => number
}

/** Creates the metrics with their own registry, so that two Gatehouses can run in one process. */
export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry()
  const registers = [registry]
  if (options.processMetrics) collectDefaultMetrics({ register: registry })
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Counter({ name: `gatehouse_${name}`, help, labelNames, registers })
  const tallied = <L extends string>(name: string, help: string, labelNames: readonly L[]) => {
    const tally = new Tally(labelNames)
    new Counter({
      name: `gatehouse_${name}`,
      help,
      labelNames,
      registers,
      collect() {
        for (const { labels, count } of tally.take()) this.inc(labels, count)
      },
    })
    return tally
  }
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Gauge({ name: `gatehouse_${name}`, help, labelNames, registers })
  const sampled = <L extends string>(name: string, help: string, labelNames: readonly L[]) => {
    let read: () => readonly Sample<L>[] = () => []
    new Gauge({
      name: `gatehouse_${name}`,
      help,
      labelNames,
      registers,
      collect() {
        this.reset()
        for (const { labels, value } of read()) this.set(labels, value)
      },
    })
    return { sampleFrom: (next: typeof read) => void (read = next) }
  }
  const droppedLogLines = options.droppedLogLines ?? (() => 0)
  new Counter({
    name: 'gatehouse_log_lines_dropped_total',
    help: 'Lines of the operational log that were dropped since nobody read standard error.',
    registers,
    collect() {
      this.reset()
      this.inc(droppedLogLines())
    },
  })
  const inFlight = new Tally(['class'])
  new Gauge({
    name: 'gatehouse_requests_in_flight',
    help: 'Authorized requests that are currently being forwarded.',
    labelNames: ['class'],
    registers,
    collect() {
      for (const { labels, count } of inFlight.take()) this.inc(labels, count)
    },
  })
  return {
    registry,
    requests: tallied('requests_total', 'Completed requests, whatever their outcome.', [
      'handler',
      'verb',
      'code',
      'decision',
    ]),
    requestDuration: new Histogram({
      name: 'gatehouse_request_duration_seconds',
      help: 'Time from receiving a request to the end of its response, excluding streams.',
      labelNames: ['class'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers,
    }),
    requestsInFlight: inFlight,
    requestsWaiting: gauge(
      'requests_waiting',
      'Authorized requests that wait for a place at the API server.',
      ['kind'],
    ),
    queueWait: new Histogram({
      name: 'gatehouse_queue_wait_seconds',
      help: 'How long requests waited for a place at the API server, without those that did not wait.',
      labelNames: ['kind'],
      buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 15],
      registers,
    }),
    connections: gauge('connections', 'Open client connections.', ['protocol']),
    connectionsRefused: counter(
      'connections_refused_total',
      'Client connections refused or closed early.',
      ['reason'],
    ),
    authentications: tallied('authentications_total', 'Authentication attempts.', [
      'method',
      'result',
    ]),
    bans: new Counter({
      name: 'gatehouse_bans_total',
      help: 'Addresses that were banned for failed sign-ins.',
      registers,
    }),
    limited: counter('limited_total', 'Requests refused with 429, by limit.', ['limit']),
    shadowDecisions: counter(
      'shadow_decisions_total',
      'Decisions that a rule in shadow mode would have changed.',
      ['rule', 'effect'],
    ),
    auditEvents: counter(
      'audit_events_total',
      'Audit events written, summarized in another one, and lost, by sink.',
      ['sink', 'result'],
    ),
    reloads: counter('reloads_total', 'Reloads of configuration files.', ['what', 'result']),
    lastReloadSuccessful: gauge(
      'config_last_reload_successful',
      'Whether the last reload succeeded (1), or failed and an earlier version is in effect (0).',
      ['what'],
    ),
    lastReloadSuccess: gauge(
      'config_last_reload_success_timestamp_seconds',
      'When the files were last loaded successfully.',
      ['what'],
    ),
    certificateExpiration: gauge(
      'certificate_expiration_timestamp_seconds',
      'When the first of the certificates or revocation lists in effect expires.',
      ['certificate'],
    ),
    stateUp: gauge('state_up', 'Whether state is kept where it is configured (1) or not (0).', [
      'type',
    ]),
    stateReplicas: gauge('state_replicas', 'Replicas that shared state when last counted.', [
      'type',
    ]),
    stateErrors: counter('state_errors_total', 'Requests to Redis that failed, by reason.', [
      'reason',
    ]),
    stateDuration: new Histogram({
      name: 'gatehouse_state_duration_seconds',
      help: 'How long Redis took to respond.',
      buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1],
      registers,
    }),
    issuerKeysFetched: gauge(
      'issuer_keys_fetched_timestamp_seconds',
      'When the keys of an issuer were last fetched.',
      ['issuer'],
    ),
    issuerCachedKeyUses: counter(
      'issuer_cached_key_uses_total',
      'Tokens that were verified with cached keys while their issuer was unreachable.',
      ['issuer'],
    ),
    groupLookups: counter('group_lookups_total', 'Lookups of groups in the source of an issuer.', [
      'issuer',
      'result',
    ]),
    ready: gauge('ready', 'Whether /readyz returns 200 (1) or 503 (0).', []),
    checkOk: gauge(
      'check_ok',
      'Whether a check of /readyz passed without a note (1), or failed or has a note (0).',
      ['check'],
    ),
    locks: sampled('locks', 'Locks in force, by where they were set and what they lock.', [
      'source',
      'target',
    ]),
    locksAge: new Gauge({
      name: 'gatehouse_locks_age_seconds',
      help: 'Seconds since all locks in Redis were known; 0 without Redis.',
      registers,
    }),
    revocations: gauge('revocations', 'Ends of sign-ins that are remembered.', ['collection']),
    revocationsAge: gauge(
      'revocations_age_seconds',
      'Seconds since all ends of sign-ins in Redis were known.',
      ['collection'],
    ),
    securityEvents: counter(
      'security_events_total',
      'Logout tokens and security events that were received.',
      ['event', 'result'],
    ),
    upstreamErrors: counter(
      'upstream_errors_total',
      'Requests without a complete response from the API server, by reason.',
      ['reason'],
    ),
  }
}
