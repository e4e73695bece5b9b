/** Prometheus metrics; every label is from a bounded set: no user, no path, no name. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'

import { Tally } from './tally.ts'

export interface Metrics {
  readonly registry: Registry
  /** Requests ended. `verb` is bounded by `boundedVerb`. */
  readonly requests: Tally<'verb' | 'code' | 'decision'>
  readonly requestDuration: Histogram<'class'>
  readonly requestsInFlight: Tally<'class'>
  readonly connections: Gauge<'protocol'>
  readonly connectionsRefused: Counter<'reason'>
  readonly authentications: Tally<'method' | 'result'>
  readonly limited: Counter<'limit'>
  readonly shadowDecisions: Counter<'rule' | 'effect'>
  readonly auditEvents: Counter<'sink' | 'result'>
  readonly reloads: Counter<'what' | 'result'>
  /** 1 or 0, and when it last was 1, in seconds since the epoch: as Prometheus tells of its own. */
  readonly lastReloadSuccessful: Gauge<'what'>
  readonly lastReloadSuccess: Gauge<'what'>
  /** The first end of what is of that kind, in seconds since the epoch. */
  readonly certificateExpiration: Gauge<'certificate'>
  readonly upstreamErrors: Counter<'reason'>
  /** As `/readyz` answers at the moment of the scrape, and each of its checks; the names are its own. */
  readonly ready: Gauge
  readonly checkOk: Gauge<'check'>
}

const KNOWN_VERBS: ReadonlySet<string> = new Set(
  'get list watch create update patch delete deletecollection proxy head post put options'.split(
    ' ',
  ),
)

/** A verb as a metric label; anything that a client could make up is `other`. */
export function boundedVerb(verb: string): string {
  return KNOWN_VERBS.has(verb) ? verb : 'other'
}

/** Makes a registry of its own, so that two Gatehouses in one process do not clash. */
export function createMetrics(options: { readonly processMetrics: boolean }): Metrics {
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
  const inFlight = new Tally(['class'])
  new Gauge({
    name: 'gatehouse_requests_in_flight',
    help: 'Authorized requests being forwarded.',
    labelNames: ['class'],
    registers,
    collect() {
      for (const { labels, count } of inFlight.take()) this.inc(labels, count)
    },
  })
  return {
    registry,
    requests: tallied('requests_total', 'Requests ended, whatever became of them.', [
      'verb',
      'code',
      'decision',
    ]),
    requestDuration: new Histogram({
      name: 'gatehouse_request_duration_seconds',
      help: 'Time from reception to the end of the answer; streams are not in it.',
      labelNames: ['class'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers,
    }),
    requestsInFlight: inFlight,
    connections: gauge('connections', 'Open client connections.', ['protocol']),
    connectionsRefused: counter('connections_refused_total', 'Client connections refused or cut.', [
      'reason',
    ]),
    authentications: tallied('authentications_total', 'Authentication attempts.', [
      'method',
      'result',
    ]),
    limited: counter('limited_total', 'Requests answered 429.', ['limit']),
    shadowDecisions: counter(
      'shadow_decisions_total',
      'Decisions that a shadow rule would have made.',
      ['rule', 'effect'],
    ),
    auditEvents: counter('audit_events_total', 'Audit events by sink.', ['sink', 'result']),
    reloads: counter('reloads_total', 'Reloads of files.', ['what', 'result']),
    lastReloadSuccessful: gauge(
      'config_last_reload_successful',
      'Whether the last reload of files succeeded (1) or an older version is in force (0).',
      ['what'],
    ),
    lastReloadSuccess: gauge(
      'config_last_reload_success_timestamp_seconds',
      'When files were last loaded with success.',
      ['what'],
    ),
    certificateExpiration: gauge(
      'certificate_expiration_timestamp_seconds',
      'When the first of the certificates or revocation lists in force expires.',
      ['certificate'],
    ),
    ready: gauge('ready', 'Whether /readyz answers 200 (1) or 503 (0).', []),
    checkOk: gauge(
      'check_ok',
      'Whether a check of /readyz has nothing to say (1), or a failure or a note (0).',
      ['check'],
    ),
    upstreamErrors: counter(
      'upstream_errors_total',
      'Requests that the API server did not answer, or not to the end.',
      ['reason'],
    ),
  }
}
