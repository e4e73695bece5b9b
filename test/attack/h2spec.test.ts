/**
 * h2spec's 146 cases of RFC 7540 and RFC 7541, in strict mode, over TLS. They are held against the
 * listener with a handler that always answers: h2spec cannot sign in, and Gatehouse ends a session
 * after a 401, where h2spec wants to send more on it.
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
  'nghttp2 reads and drops what comes on a stream that has ended, as RFC 9113 section 5.1 allows'

/** What node and its nghttp2 do otherwise, each with the reason why that is harmless. */
const DIFFERENT: Readonly<Record<string, string>> = {
  'http2/5.1/8': NEVER_READ,
  'http2/5.1/9': NEVER_READ,
  'http2/5.1/11': NEVER_READ,
  'http2/5.1/12': NEVER_READ,
  'http2/5.1.1/2':
    'nghttp2 drops a request with a number that was passed over: it may be a trailer',
  'http2/5.3.1/2': 'priorities are no more (RFC 9113 section 5.3.2): nghttp2 drops the frame',
  'http2/6.3/1': 'priorities are no more (RFC 9113 section 5.3.2): nghttp2 drops the frame',
  'http2/6.7/2': 'node ends a session with a PING that answers none: stricter than is asked for',
  'http2/6.9.1/3': 'node ends the session where ending the stream would do',
}

const availability = await partsAvailable(['h2spec'])
if (!availability.available) process.stderr.write(`\n*** ${availability.reason} ***\n\n`)

interface Case {
  /** As h2spec counts: suite, section, number. */
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
        answer(exchange)
      },
      onMalformed: () => undefined,
    })
    cases = await runH2spec(bare.target.port)
  }, 600_000)

  afterAll(() => bare.close())

  test('every case passes, save those that are known', () => {
    expect(cases).toHaveLength(146)
    const failed = cases.filter(({ failure }) => failure !== undefined)
    const surprises = failed.filter(({ id }) => !Object.hasOwn(DIFFERENT, id))
    expect(surprises).toEqual([])
    expect(failed.map(({ id }) => id)).toEqual(Object.keys(DIFFERENT))
  })

  test.for<readonly [what: string, frames: readonly Buffer[]]>([
    ['a request on a stream that has ended', [get(5, '/first'), get(5, '/dropped')]],
    ['a request with a number that was passed over', [get(5, '/first'), get(3, '/dropped')]],
    ['a body behind a whole request', [get(5, '/first'), data(5, 'dropped', true)]],
    [
      'a request on a stream that was reset',
      [get(5, '/first'), get(7, '/reset', FLAG.END_HEADERS), reset(7), get(7, '/dropped')],
    ],
  ])('%s reaches nobody', async ([, frames]) => {
    served.length = 0
    const connection = await connectHttp2(bare.target)
    connection.send(get(1, '/before'))
    await connection.answer(1)
    connection.send(...frames)
    connection.send(get(9, '/last'))
    // The session has either ended or gone on in step.
    await connection.answer(9)
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
 * Takes the body to its end, then answers with more bytes than h2spec's smallest windows. Not at
 * once: streams have to be open at the same time for their limit to be met.
 */
function answer(exchange: Exchange): void {
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

/** Runs all of it and reads the report in JUnit's form. */
async function runH2spec(port: number): Promise<readonly Case[]> {
  const h2spec = await part('h2spec')
  const folder = await mkdtemp(join(tmpdir(), 'h2spec-'))
  try {
    const report = join(folder, 'report.xml')
    const args = ['-h', '127.0.0.1', '-p', String(port), '-t', '-k', '-S', '-j', report]
    // It exits with 1 when a case failed, too: what counts is the report.
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
        // A case that was skipped has proven nothing either.
        failure: result.trim() === '' ? undefined : result.trim(),
      })),
  )
}
