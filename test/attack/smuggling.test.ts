/**
 * Request smuggling (RFC 9112 section 11.2, CWE-444): bytes that two parsers could split into different
 * requests. Either they are refused and the connection is closed, or exactly what was authorized is
 * forwarded.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { headerValues } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import { readResponses } from '../support/raw.ts'

const PATH = '/api/v1/namespaces/d/configmaps'

let attack: Attack
let bearer: string

beforeAll(async () => {
  attack = await startAttack()
  bearer = await attack.bearer()
})

afterAll(async () => {
  await attack.expectNoSecretLeaked()
  await attack.close()
})

function request(line: string, fields: string, body = ''): string {
  return `${line}\r\nHost: gatehouse\r\n${bearer}${fields}\r\n${body}`
}

const post = (fields: string, body: string): string =>
  request(`POST ${PATH} HTTP/1.1`, fields, body)
const chunked = (body: string): string => post('Transfer-Encoding: chunked\r\n', body)
/** A request that must never be parsed from the body of another one. */
const hidden = `GET /hidden HTTP/1.1\r\nHost: gatehouse\r\n\r\n`

const REFUSED: readonly (readonly [what: string, bytes: () => string])[] = [
  [
    'Content-Length before Transfer-Encoding',
    () => post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${hidden}`),
  ],
  [
    'Transfer-Encoding before Content-Length',
    () => post('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n', `0\r\n\r\n${hidden}`),
  ],
  ['two lengths', () => post('Content-Length: 5\r\nContent-Length: 6\r\n', 'hello!')],
  ['one length twice', () => post('Content-Length: 5\r\nContent-Length: 5\r\n', 'hello')],
  ['a list of lengths', () => post('Content-Length: 5, 5\r\n', 'hello')],
  ['a length with +', () => post('Content-Length: +5\r\n', 'hello')],
  ['a negative length', () => post('Content-Length: -1\r\n', 'hello')],
  ['a hexadecimal length', () => post('Content-Length: 0x5\r\n', 'hello')],
  ['an empty length', () => post('Content-Length:\r\n', 'hello')],
  ['a length beyond 64 bits', () => post('Content-Length: 18446744073709551621\r\n', 'hello')],
  ['a length beyond 53 bits', () => post('Content-Length: 9007199254740993\r\n', 'hello')],
  ['a space before the colon of Content-Length', () => post('Content-Length : 5\r\n', 'hello')],
  ['a space before the colon', () => post('X-A : b\r\n', '')],
  ['a name that begins with a tab', () => post('X-A: b\r\n\tContent-Length: 5\r\n', 'hello')],
  ['a folded value', () => post('X-A: b\r\n c\r\n', '')],
  ['a folded coding', () => post('Transfer-Encoding:\r\n chunked\r\n', '0\r\n\r\n')],
  ['a space before the first field', () => `GET ${PATH} HTTP/1.1\r\n X-A: b\r\n${bearer}\r\n`],
  ['lines that end with a bare LF', () => post('', '').replaceAll('\r\n', '\n')],
  ['one line that ends with a bare LF', () => post('X-A: b\nContent-Length: 5\r\n', 'hello')],
  ['a bare CR in a value', () => post('X-A: b\rContent-Length: 5\r\n', 'hello')],
  ['a NUL in a value', () => post('X-A: b\0c\r\n', '')],
  ['a NUL in a name', () => post('X\0A: b\r\n', '')],
  ['a line without a colon', () => post('Content-Length\r\n', '')],
  ['a field without a name', () => post(': 5\r\n', '')],
  ['a coding that ends in chunked', () => post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n')],
  ['the coding identity', () => post('Transfer-Encoding: identity\r\n', hidden)],
  ['chunked not last', () => post('Transfer-Encoding: chunked, identity\r\n', '0\r\n\r\n')],
  ['a coding below chunked', () => post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n')],
  ['chunked twice', () => post('Transfer-Encoding: chunked, chunked\r\n', '0\r\n\r\n')],
  [
    'two codings in two fields',
    () => post('Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
  ],
  ['an empty list item', () => post('Transfer-Encoding: ,chunked\r\n', '0\r\n\r\n')],
  ['a tab after chunked', () => post('Transfer-Encoding: chunked\t\r\n', '0\r\n\r\n')],
  ['a vertical tab before chunked', () => post('Transfer-Encoding: \vchunked\r\n', '0\r\n\r\n')],
  ['a quoted coding', () => post('Transfer-Encoding: "chunked"\r\n', '0\r\n\r\n')],
  ['a coding with a parameter', () => post('Transfer-Encoding: chunked;a=b\r\n', '0\r\n\r\n')],
  ['an empty coding', () => post('Transfer-Encoding:\r\n', '0\r\n\r\n')],
  ['a line of 20 kB after a chunk size', () => chunked(`5;${'a'.repeat(20_000)}\r\nhello`)],
  ['a bare LF after an extension', () => chunked('5;\nhello\r\n0\r\n\r\n')],
  ['a quoted extension over two lines', () => chunked('5;a="\r\nhello\r\n0\r\n\r\n')],
  ['a chunk size beyond 64 bits', () => chunked('10000000000000005\r\nhello\r\n0\r\n\r\n')],
  ['a negative chunk size', () => chunked('-5\r\nhello\r\n0\r\n\r\n')],
  ['a chunk size with 0x', () => chunked('0x5\r\nhello\r\n0\r\n\r\n')],
  ['a chunk size with a space', () => chunked('5 \r\nhello\r\n0\r\n\r\n')],
  ['no chunk size', () => chunked('\r\nhello\r\n0\r\n\r\n')],
  ['chunk lines that end with a bare LF', () => chunked('5\nhello\n0\n\n')],
  ['a chunk longer than its size', () => chunked(`5\r\nhelloXX0\r\n\r\n${hidden}`)],
  ['a chunk without its CRLF', () => chunked(`5\r\nhello0\r\n\r\n${hidden}`)],
  ['a length in the trailer', () => chunked('0\r\nContent-Length: 5\r\n\r\nhello')],
  ['a coding in the trailer', () => chunked('0\r\nTransfer-Encoding: chunked\r\n\r\n')],
  ['a folded trailer', () => chunked('0\r\nX-A: b\r\n c\r\n\r\n')],
  ['HTTP/1.0', () => request(`GET ${PATH} HTTP/1.0`, 'Connection: keep-alive\r\n')],
  ['HTTP/0.9', () => `GET ${PATH}\r\n\r\n`],
  ['HTTP/1.2', () => request(`GET ${PATH} HTTP/1.2`, '')],
  ['HTTP/2.0 without HTTP/2', () => request(`GET ${PATH} HTTP/2.0`, '')],
  ['the preface of HTTP/2 over HTTP/1.1', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['a version in lower case', () => request(`GET ${PATH} http/1.1`, '')],
  ['another protocol', () => request(`DESCRIBE ${PATH} RTSP/1.0`, '')],
  ['tabs in the request line', () => request(`GET\t${PATH}\tHTTP/1.1`, '')],
  ['a space after the version', () => request(`GET ${PATH} HTTP/1.1 `, '')],
  ['a method in lower case', () => request(`get ${PATH} HTTP/1.1`, '')],
  ['no Host', () => `GET ${PATH} HTTP/1.1\r\n${bearer}\r\n`],
  ['two Hosts', () => request(`GET ${PATH} HTTP/1.1`, 'Host: other\r\n')],
  ['two Authorizations', () => request(`GET ${PATH} HTTP/1.1`, bearer)],
  ['malformed input', () => '\x16\x03\x01\x02\x00\x01\r\n\r\n'],
  [
    'an upgrade to h2c',
    () =>
      request(
        `GET ${PATH} HTTP/1.1`,
        'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n',
      ),
  ],
  [
    'an upgrade with a body of known length',
    () => post('Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 5\r\n', 'hello'),
  ],
  [
    'an upgrade with a body in chunks',
    () =>
      post(
        'Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nTransfer-Encoding: chunked\r\n',
        '0\r\n\r\n',
      ),
  ],
]

describe('ambiguous bytes are refused, audited once, and close the connection:', () => {
  test.for(REFUSED)('%s', async ([, bytes]) => {
    const { value, received, events } = await attack.watching(() => attack.send(bytes()))
    expect(value.response).toMatchObject({ status: 400, whole: true })
    expect(value.closed).toBe(true)
    // A body may prove malformed after its header was forwarded: it never arrives complete.
    expect(received.filter(({ complete }) => complete)).toEqual([])
    expect(events.map((event) => event.responseStatus?.code)).toEqual([400])
  })
})

const ACCEPTED: readonly (readonly [what: string, bytes: () => string, body: string])[] = [
  ['spaces around a length', () => post('Content-Length:  5 \t\r\n', 'hello'), 'hello'],
  ['zeros before a length', () => post('Content-Length: 005\r\n', 'hello'), 'hello'],
  ['CHUNKED', () => post('Transfer-Encoding: CHUNKED\r\n', '5\r\nhello\r\n0\r\n\r\n'), 'hello'],
  [
    'a tab before chunked',
    () => post('Transfer-Encoding:\tchunked\r\n', '5\r\nhello\r\n0\r\n\r\n'),
    'hello',
  ],
  ['chunk extensions', () => chunked('5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n'), 'hello'],
  ['zeros before a chunk size', () => chunked('0005\r\nhello\r\n000\r\n\r\n'), 'hello'],
  [
    'a request in the body of another',
    () => post(`Content-Length: ${hidden.length}\r\n`, hidden),
    hidden,
  ],
  [
    'an empty line before the request',
    () => `\r\n\r\n${request(`POST ${PATH} HTTP/1.1`, 'Content-Length: 0\r\n')}`,
    '',
  ],
  ['a POST without a length', () => post('', ''), ''],
  [
    'Connection: not-upgrade-ish with Upgrade',
    () => post('Connection: not-upgrade-ish\r\nUpgrade: websocket\r\n', ''),
    '',
  ],
  ['Connection: upgrade without Upgrade', () => post('Connection: upgrade\r\n', ''), ''],
]

describe('unambiguous bytes are forwarded as they were authorized, with new framing:', () => {
  test.for(ACCEPTED)('%s', async ([, bytes, body]) => {
    const { value, received, events } = await attack.watching(() => attack.send(bytes()))
    expect(value).toMatchObject({ response: { status: 200 }, closed: false })
    expect(received).toMatchObject([{ method: 'POST', url: PATH, body, complete: true }])
    expect(events.map((event) => event.responseStatus?.code)).toEqual([200])
    const [one] = received
    expect(headerValues(one!, 'upgrade')).toEqual([])
    expect(headerValues(one!, 'connection')).toEqual(['keep-alive'])
    const framing = [
      ...headerValues(one!, 'content-length'),
      ...headerValues(one!, 'transfer-encoding'),
    ]
    expect(framing).toHaveLength(1)
    expect(['chunked', String(body.length)]).toContain(framing[0])
  })

  test.for(['GET', 'DELETE', 'OPTIONS'])('%s with a body', async (method) => {
    const bytes = request(`${method} ${PATH}/x HTTP/1.1`, 'Content-Length: 5\r\n', 'hello')
    const { value, received } = await attack.watching(() => attack.send(bytes))
    expect(value).toMatchObject({ response: { status: 200 }, closed: false })
    expect(received).toMatchObject([{ method, body: 'hello', complete: true }])
  })

  test('a trailer with identity and credentials is discarded', async () => {
    const bytes = post(
      'Trailer: X-A, Impersonate-User\r\nTransfer-Encoding: chunked\r\n',
      '5\r\nhello\r\n0\r\nX-A: b\r\nImpersonate-User: root\r\nAuthorization: Bearer x\r\n' +
        'X-Remote-User: root\r\n\r\n',
    )
    const { value, received } = await attack.watching(() => attack.send(bytes))
    expect(value).toMatchObject({ response: { status: 200 }, closed: false })
    expect(received).toMatchObject([{ body: 'hello', complete: true }])
    expect(headerValues(received[0]!, 'impersonate-user')).toEqual(['oidc:ada'])
    for (const name of ['trailer', 'x-a', 'authorization', 'x-remote-user']) {
      expect(headerValues(received[0]!, name)).toEqual([])
    }
  })

  test('a trailer that is larger than the header limit is refused', async () => {
    const trailer = `X-A: ${'a'.repeat(1_000)}\r\n`.repeat(200)
    const { value, received, events } = await attack.watching(() =>
      attack.send(chunked(`5\r\nhello\r\n0\r\n${trailer}\r\n`)),
    )
    expect(value).toMatchObject({ response: { status: 431 }, closed: true })
    expect(received.filter(({ complete }) => complete)).toEqual([])
    expect(events.map((event) => event.responseStatus?.code)).toEqual([431])
  })
})

describe('Expect', () => {
  test.for(['100-continue', '100-CONTINUE'])(
    '%s gets a 100, then the body is forwarded',
    async (value) => {
      const { value: sent, received } = await attack.watching(() =>
        attack.send(post(`Expect: ${value}\r\nContent-Length: 5\r\n`, 'hello')),
      )
      expect(sent.response.status).toBe(200)
      expect(received).toMatchObject([{ body: 'hello', complete: true }])
      expect(headerValues(received[0]!, 'expect')).toEqual([])
    },
  )

  test.for(['200-ok', '100-continue, x', '100-continue\r\nExpect: x'])(
    '%j is refused with 417, and the connection is closed',
    async (value) => {
      const { value: sent, received } = await attack.watching(() =>
        attack.send(post(`Expect: ${value}\r\nContent-Length: 5\r\n`, 'hello')),
      )
      expect(sent).toMatchObject({ response: { status: 417 }, closed: true })
      expect(received).toEqual([])
    },
  )

  test('does not get a 100 before the request has been authorized', async () => {
    const { value, received, events } = await attack.watching(async () => {
      const connection = await attack.connect()
      connection.write(
        `POST ${PATH} HTTP/1.1\r\nHost: gatehouse\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`,
      )
      const bytes = await connection.read((all) =>
        all.includes('\r\n\r\n') ? { value: all.toString('latin1'), bytes: 0 } : undefined,
      )
      connection.destroy()
      return bytes
    })
    expect(value).toMatch(/^HTTP\/1\.1 401 /)
    expect(received).toEqual([])
    expect(events.map((event) => event.responseStatus?.code)).toEqual([401])
  })
})

describe('a request after one that ends HTTP on its connection is never processed:', () => {
  const second = (): string => request(`GET /second HTTP/1.1`, '')

  test.for<readonly [what: string, first: () => string, status: number]>([
    ['CONNECT', () => request('CONNECT gatehouse:443 HTTP/1.1', ''), 405],
    [
      'CONNECT with a length',
      () => request('CONNECT gatehouse:443 HTTP/1.1', 'Content-Length: 5\r\n', 'hello'),
      405,
    ],
    ['HTTP/1.0', () => request(`GET ${PATH} HTTP/1.0`, ''), 400],
    ['a bad coding', () => post('Transfer-Encoding: identity\r\n', ''), 400],
    ['two Hosts', () => request(`GET ${PATH} HTTP/1.1`, 'Host: other\r\n'), 400],
    ['an unmet expectation', () => request(`GET ${PATH} HTTP/1.1`, 'Expect: x\r\n'), 417],
    [
      'a refused upgrade',
      () => request(`GET ${PATH} HTTP/1.1`, 'Connection: Upgrade\r\nUpgrade: foo\r\n'),
      400,
    ],
  ])('%s', async ([, first, status]) => {
    const { value, received, events } = await attack.watching(async () => {
      const connection = await attack.connect()
      connection.write(first() + second())
      return readResponses(connection)
    })
    expect(value.map((response) => response.status)).toEqual([status])
    expect(received).toEqual([])
    expect(events.map((event) => event.responseStatus?.code)).toEqual([status])
  })

  test.for<readonly [what: string, bytes: () => string]>([
    ['malformed input', () => '\0\r\n\r\n'],
    ['a request without framing', () => post('Transfer-Encoding: identity\r\n', '')],
    ['an upgrade', () => request('GET / HTTP/1.1', 'Connection: Upgrade\r\nUpgrade: h2c\r\n')],
    ['CONNECT', () => request('CONNECT gatehouse:443 HTTP/1.1', '')],
  ])('%s during the response to an earlier request aborts that response', async ([, bytes]) => {
    attack.api.handler = (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('first half,')
    }
    const connection = await attack.connect()
    connection.write(request(`GET ${PATH}?watch=true HTTP/1.1`, ''))
    await connection.read((received) =>
      received.includes('first half,') ? { value: true, bytes: 0 } : undefined,
    )
    connection.write(bytes())
    const responses = await readResponses(connection)
    attack.api.handler = undefined
    // No bytes are added to it: they would be read as a part of it.
    expect(responses).toMatchObject([{ status: 200, body: 'first half,', whole: false }])
  })
})

test('pipelined requests each get their own response, in order', async () => {
  const { value, received } = await attack.watching(async () => {
    const connection = await attack.connect()
    connection.write(
      chunked('5\r\nfirst\r\n0\r\n\r\n') +
        post('Content-Length: 6\r\n', 'second') +
        request('GET /third HTTP/1.1', 'Connection: close\r\n'),
    )
    return readResponses(connection)
  })
  const bodies = value.map(({ body }) => JSON.parse(body) as { url: string; body: string })
  expect(bodies).toMatchObject([{ body: 'first' }, { body: 'second' }, { url: '/third' }])
  expect(received).toHaveLength(3)
})
