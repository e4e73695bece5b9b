/** `audit` of gatehouse.yaml. */
import { z } from 'zod'

import { choice, count, flag, outputFile, wholeNumber } from '../fields.ts'
import { fieldNames } from './field-names.ts'

/** Each field enables an audit sink (gatehouse/sinks.ts). */
const sinks = {
  file: z
    .strictObject({
      path: outputFile('the audit log'),
      maxSizeMegabytes: count('size at which the file is rotated, in megabytes', 100_000).default(
        100,
      ),
      maxBackups: count('rotated files that are kept', 10_000).default(100),
      maxAgeDays: count('how long rotated files are kept, in days', 36_500).default(366),
      compress: flag('whether rotated files are compressed with gzip').default(false),
    })
    .describe('A file of JSON lines.')
    .optional(),
  stdout: z
    .strictObject({
      enabled: flag('whether events are written to standard output').default(true),
    })
    .describe('JSON lines on standard output.')
    .optional(),
}

export const audit = z
  .strictObject({
    mode: choice(
      'when an event is written, as --audit-log-mode of kube-apiserver. batch: soon after the ' +
        'response. blocking: before the response, which waits for it. blocking-strict: also before a ' +
        'request that may change something is forwarded',
      ['batch', 'blocking', 'blocking-strict'],
    ).default('batch'),
    onFailure: choice(
      'what happens to requests while no sink accepts events: they are refused, or served and the ' +
        'lost events counted',
      ['refuse', 'count'],
    ).default('refuse'),
    unauthenticated: z
      .strictObject({
        bytesPerSecond: count('bytes that are added each second').default(512),
        burstBytes: wholeNumber('bytes that can be spent at once', 65_536, 1_000_000_000).default(
          8_388_608,
        ),
      })
      .describe(
        'Budget for the events of unauthenticated clients, so that they cannot rotate the history of ' +
          'users away. One address gets a quarter of the burst and half of the rate. Beyond it, one ' +
          'event per address and minute says how many requests there were.',
      )
      .prefault({}),
    ...sinks,
  })
  .describe(
    'One audit.k8s.io/v1 event for every request, refused ones included. At least one sink is ' +
      `required: ${fieldNames(sinks)}.`,
  )

export type SinkField = keyof typeof sinks
export const SINK_FIELDS = Object.keys(sinks) as readonly SinkField[]
