/**
 * h2spec's 146 cases of RFC 7540 and RFC 7541, in strict mode, over TLS. They run against the listener
 * with a handler that always responds: h2spec cannot authenticate, and Gatehouse closes a session after
 * a 401, on which h2spec would send more.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { part, partsAvailable } from '../../dev/parts/parts.ts'
import type { Exchange } from '../../src/http/exchange.ts'
import { startBareListener, type BareListener } from '../support/bare-listener.ts'
import { connectHttp2, data, FLAG, headers, reset, type Fields } from '../support/http2-frames.ts'

const NEVER_READ =
  'nghttp2 discards frames on a stream that has ended, as RFC 9113 section 5.1 allows'

/** The cases that node and its nghttp2 fail, each with the reason why that is harmless. */
const DIFFERENT: Readonly<Record<string, string>> = {
  'http2/5.1/8': NEVER_READ,
  'http2/5.1/9': NEVER_READ,
  'http2/5.1/11': NEVER_READ,
  'http2/5.1/12': NEVER_READ,
  'http2/5.1.1/2': 'nghttp2 discards a request with a skipped stream ID: it may be a trailer',
  'http2/5.3.1/2': 'priorities are deprecated (RFC 9113 section 5.3.2): nghttp2 discards the frame',
  'http2/6.3/1': 'priorities are deprecated (RFC 9113 section 5.3.2): nghttp2 discards the frame',
  'http2/6.7/2':
    'node closes a session with a PING ACK that it did not ask for: stricter than required',
  'http2/6.9.1/3': 'node closes the session where closing the stream would be sufficient',
}

const availability = await partsAvailable(['h2spec'])
if (!availability.available) process.stderr.write(`\n*** ${availability.reason} ***\n\n`)

interface Case {
  /** h2spec's numbering: suite, section, number. */
  readonly id: string
  readonly title: string
  readonly failure: string | undefined
}

describe.skipIf(!availability.available)('HTTP/2 of the listener under h2spec', () => {
  let bare: BareListener
  let cases: readonly Case[]
  const served: string[] = []

  beforeAll(async () => {
    bare = await startBareListener({
      handle(exchange) {
        served.push(exchange.request.rawTarget)
        respond(exchange)
      },
      onMalformed: () => undefined,
    })
    cases = await runH2spec(bare.target.port)
  }, 600_000)

  afterAll(() => bare.close())

  test('every case passes, except the known ones', () => {
    expect(cases).toHaveLength(146)
    const failed = cases.filter(({ failure }) => failure !== undefined)
    const surprises = failed.filter(({ id }) => !Object.hasOwn(DIFFERENT, id))
    expect(surprises).toEqual([])
    expect(failed.map(({ id }) => id)).toEqual(Object.keys(DIFFERENT))
  })

  test.for<readonly [what: string, frames: readonly Buffer[]]>([
    ['a request on a stream that has ended', [get(5, '/first'), get(5, '/dropped')]],
    ['a request with a skipped stream ID', [get(5, '/first'), get(3, '/dropped')]],
    ['a body after a complete request', [get(5, '/first'), data(5, 'dropped', true)]],
    [
      'a request on a stream that was reset',
      [get(5, '/first'), get(7, '/reset', FLAG.END_HEADERS), reset(7), get(7, '/dropped')],
    ],
  ])('%s does not reach the handler', async ([, frames]) => {
    served.length = 0
    const connection = await connectHttp2(bare.target)
    connection.send(get(1, '/before'))
    await connection.response(1)
    connection.send(...frames)
    connection.send(get(9, '/last'))
    // The session has either ended or continued in sync.
    await connection.response(9)
    connection.raw.destroy()
    expect(served).toContain('/first')
    expect(served).not.toContain('/dropped')
  })
})

function get(stream: number, path: string, flags?: number): Buffer {
  const fields: Fields = [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':authority', 'gatehouse'],
    [':path', path],
  ]
  return headers(stream, fields, flags)
}

/**
 * Reads the whole body, then responds with more bytes than h2spec's smallest window has. It waits, so
 * that enough streams are open at the same time to reach their limit.
 */
function respond(exchange: Exchange): void {
  const { response } = exchange
  exchange.receiveBody({
    onData: () => undefined,
    onEnd() {
      setTimeout(() => {
        response.writeHead(200, ['Content-Type', 'text/plain'])
        response.end('answer '.repeat(10))
      }, 20)
    },
    onError: () => response.destroy(),
  })
}

/** Runs all cases and reads the report in JUnit format. */
async function runH2spec(port: number): Promise<readonly Case[]> {
  const h2spec = await part('h2spec')
  const folder = await mkdtemp(join(tmpdir(), 'h2spec-'))
  try {
    const report = join(folder, 'report.xml')
    const args = ['-h', '127.0.0.1', '-p', String(port), '-t', '-k', '-S', '-j', report]
    // It also exits with 1 when a case failed, so only the report counts.
    await new Promise<void>((resolve) => execFile(h2spec, args, () => resolve()))
    return parseReport(await readFile(report, 'utf8'))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function parseReport(xml: string): readonly Case[] {
  return [...xml.matchAll(/<testsuite [^>]*package="([^"]+)"[^>]*>(.*?)<\/testsuite>/gs)].flatMap(
    ([, section, inner]) =>
      [
        ...(inner ?? '').matchAll(/<testcase [^>]*classname="([^"]*)"[^>]*>(.*?)<\/testcase>/gs),
      ].map(([, title, result = ''], i) => ({
        id: `${section}/${i + 1}`,
        title: title ?? '',
        // A skipped case counts as failed.
        failure: result.trim() === '' ? undefined : result.trim(),
      })),
  )
}
