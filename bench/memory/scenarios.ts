/** What clients can do to Gatehouse's memory within the shipped limits. */
import type { Configuration } from '../../src/config/schema.ts'
import {
  http1Request,
  http2Preface,
  http2Requests,
  unfinishedHandshake,
  unfinishedHeader,
  unfinishedHeaderBlock,
} from './bytes.ts'
import { overTcp, overTls, type Load } from './clients.ts'

export interface Scenario {
  readonly name: string
  /** What it is divided by in the table. */
  readonly count: number
  readonly of: string
  readonly load: Load
}

type Limits = Pick<Configuration, 'listener' | 'limits'>

const LIST = '/api/v1/pods'
const PAUSE_MS = 5_000
const WATCH = '/api/v1/pods?watch=1'

/** All scenarios, at the limits of the configuration. */
export function scenarios({ listener, limits }: Limits): Scenario[] {
  const { maxConnections, maxConnectionsPerAddress } = listener.limits
  const { maxConcurrentStreams } = listener.http2
  const { requests, streams } = limits.concurrent
  const everyConnection = (name: string, open: Load['open']): Scenario => ({
    name,
    count: maxConnections,
    of: 'connection',
    load: { connections: maxConnections, perAddress: maxConnectionsPerAddress, open },
  })
  const ofUser = (name: string, count: number, connections: number, open: Load['open']) => ({
    name,
    count,
    of: 'response',
    load: {
      ...{ connections, perAddress: connections, open },
      // The burst of `limits.user.stream` is less than a user's concurrent streams.
      pause: { every: Math.ceil(connections / 2), milliseconds: PAUSE_MS },
    },
  })
  const inSessions = (path: string) =>
    overTls('h2', (target) => http2Requests(target, path, maxConcurrentStreams))
  const sessionsFor = (count: number): number => Math.ceil(count / maxConcurrentStreams)
  const http1 = (path: string, isLong = false) =>
    overTls('http/1.1', (target) => http1Request(target, path, isLong))
  return [
    everyConnection(
      'idle, HTTP/1.1',
      overTls('http/1.1', () => Buffer.alloc(0)),
    ),
    everyConnection('idle, HTTP/2', overTls('h2', http2Preface)),
    everyConnection('unfinished headers, HTTP/1.1', overTls('http/1.1', unfinishedHeader)),
    everyConnection('unfinished headers, HTTP/2', overTls('h2', unfinishedHeaderBlock)),
    {
      ...everyConnection('unfinished handshakes', overTcp(unfinishedHandshake())),
      // Within the limit of each address.
      load: { connections: maxConnections, perAddress: 60, open: overTcp(unfinishedHandshake()) },
    },
    ofUser('watches not read, HTTP/1.1', streams, streams, http1(WATCH)),
    ofUser('the same with long headers', streams, streams, http1(WATCH, true)),
    ofUser('watches not read, HTTP/2', streams, sessionsFor(streams), inSessions(WATCH)),
    ofUser('lists not read, HTTP/1.1', requests, requests, http1(LIST)),
    ofUser('lists not read, HTTP/2', requests, sessionsFor(requests), inSessions(LIST)),
  ]
}
