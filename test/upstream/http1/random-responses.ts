/** Random responses of an API server: well-formed ones with what they mean, and damaged ones. */
import fc from 'fast-check'

import type { ReadResponse } from './read-response.ts'

export interface RandomResponse {
  readonly method: 'GET' | 'HEAD' | 'POST'
  readonly bytes: Buffer
  readonly expected: ReadResponse
}

const BODILESS = [204, 304]

const token = fc.stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}$/)
const name = fc
  .oneof(
    token,
    fc.constantFrom('Content-Type', 'Date', 'Audit-Id', 'X-A', '__proto__', 'constructor', 'Vary'),
  )
  .filter(
    (each) => !/^(content-length|transfer-encoding|connection|keep-alive|upgrade)$/i.test(each),
  )
/** Without white space around it, which is not part of a value. */
const value = fc.stringMatching(/^([!-~\x80-\xff]([\t -~\x80-\xff]{0,40}[!-~\x80-\xff])?)?$/)
const blank: fc.Arbitrary<string> = fc.constantFrom('', ' ', '\t', ' \t ')
const fields = fc.array(fc.record({ name, value, before: blank, after: blank }), { maxLength: 12 })
const body = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc
    .constantFrom('\r\n\r\n', '0\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', '')
    .map((text) => Buffer.from(text, 'latin1')),
  fc.integer({ min: 1, max: 70_000 }).map((length) => new Uint8Array(length).fill(0x61)),
)
const spelled = (text: string): fc.Arbitrary<string> =>
  fc.constantFrom(text, text.toLowerCase(), text.toUpperCase())
const interim = fc.constantFrom(
  '',
  '',
  'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n',
  'HTTP/1.1 102 Processing\r\n\r\n'.repeat(2),
)

interface Field {
  readonly name: string
  readonly value: string
  readonly before: string
  readonly after: string
}

const lines = (list: readonly Field[]): string =>
  list.map((each) => `${each.name}:${each.before}${each.value}${each.after}\r\n`).join('')

function chunked(
  bytes: Uint8Array,
  cuts: readonly number[],
  style: { readonly upper: boolean; readonly zeros: number; readonly trailers: readonly Field[] },
): Buffer {
  const parts: Buffer[] = []
  let from = 0
  const ends = cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b)
  for (const end of [...ends, bytes.length]) {
    if (end <= from) continue
    const digits = (end - from).toString(16)
    const size = '0'.repeat(style.zeros) + (style.upper ? digits.toUpperCase() : digits)
    parts.push(Buffer.from(`${size}\r\n`), Buffer.from(bytes.subarray(from, end)), CRLF)
    from = end
  }
  const end = `${'0'.repeat(style.zeros + 1)}\r\n${lines(style.trailers)}\r\n`
  return Buffer.concat([...parts, Buffer.from(end, 'latin1')])
}

const CRLF = Buffer.from('\r\n')

/** Valid responses, in many spellings, and what each of them means. */
export const validResponse: fc.Arbitrary<RandomResponse> = fc
  .record({
    method: fc.constantFrom('GET' as const, 'HEAD' as const, 'POST' as const),
    status: fc.oneof(
      fc.constantFrom(200, 200, 201, 204, 304, 404, 409),
      fc.integer({ min: 200, max: 599 }),
    ),
    reason: fc.constantFrom('OK', '', 'Not Found', 'caf\xe9 \x80'),
    interim,
    fields,
    at: fc.nat({ max: 12 }),
    body,
    framing: fc.constantFrom('length' as const, 'chunked' as const),
    cuts: fc.array(fc.nat({ max: 80_000 }), { maxLength: 6 }),
    style: fc.record({ upper: fc.boolean(), zeros: fc.nat({ max: 3 }), trailers: fields }),
    lengthName: spelled('Content-Length'),
    codingName: spelled('Transfer-Encoding'),
    coding: spelled('Chunked'),
  })
  .map((parts) => {
    const isBodiless = parts.method === 'HEAD' || BODILESS.includes(parts.status)
    const isChunked = parts.framing === 'chunked' && parts.status !== 204
    const bytes = parts.status === 204 ? new Uint8Array() : parts.body
    const framing: Field = isChunked
      ? { name: parts.codingName, value: parts.coding, before: ' ', after: '' }
      : { name: parts.lengthName, value: String(bytes.length), before: ' ', after: '' }
    const all = parts.fields.toSpliced(parts.at, 0, framing)
    const head = `${parts.interim}HTTP/1.1 ${parts.status} ${parts.reason}\r\n${lines(all)}\r\n`
    const sent = isChunked ? chunked(bytes, parts.cuts, parts.style) : Buffer.from(bytes)
    const headers: Record<string, string[]> = Object.create(null) as Record<string, string[]>
    for (const each of all) (headers[each.name.toLowerCase()] ??= []).push(each.value)
    return {
      method: parts.method,
      bytes: Buffer.concat([Buffer.from(head, 'latin1'), ...(isBodiless ? [] : [sent])]),
      expected: {
        status: parts.status,
        headers: Object.fromEntries(Object.entries(headers)),
        body: isBodiless ? '' : Buffer.from(bytes).toString('latin1'),
      },
    }
  })

/** What is put somewhere into a valid response: mostly what framing consists of. */
const DAMAGE = [
  ...[
    '\r',
    '\n',
    '\r\n',
    '\r\n\r\n',
    '\0',
    '\x01',
    '\x7f',
    ' ',
    '\t',
    ':',
    ',',
    ';',
    '0',
    '1',
    'f',
  ],
  ...['-', '+', '0x', '_', '\x80', '\xff', ';a=b', '0\r\n\r\n', 'HTTP/1.1 200 OK\r\n', 'HTTP/1.0 '],
  ...['Content-Length: 3\r\n', 'Content-Length: 3, 3\r\n', 'Transfer-Encoding: chunked\r\n'],
  ...['Transfer-Encoding: gzip, chunked\r\n', 'Transfer-Encoding: identity\r\n', '\r\n Folded: a'],
  ...['Transfer-Encoding:\x0bchunked\r\n', 'Content-Length : 1\r\n', 'Connection: close\r\n'],
]

/** Responses with up to four changes, mostly in the head and around the framing. */
export const damagedResponse: fc.Arbitrary<Omit<RandomResponse, 'expected'>> = fc
  .record({
    response: validResponse,
    changes: fc.array(
      fc.record({
        at: fc.nat(),
        removed: fc.constantFrom(0, 0, 1, 2, 5),
        added: fc.oneof(
          fc.constantFrom(...DAMAGE),
          fc.uint8Array({ maxLength: 3 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
        ),
        atLine: fc.boolean(),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  })
  .map(({ response, changes }) => {
    let text = response.bytes.subarray(0, 8_000).toString('latin1')
    for (const { at, removed, added, atLine } of changes) {
      let place = at % (text.length + 1)
      if (atLine) place = Math.max(0, text.indexOf('\r\n', place % 400) + (at % 3))
      text = text.slice(0, place) + added + text.slice(place + removed)
    }
    return { method: response.method, bytes: Buffer.from(text, 'latin1') }
  })
