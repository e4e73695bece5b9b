import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startOracles, type Oracles } from './oracles.ts'
import { damagedResponse, validResponse } from './random-responses.ts'
import { readOwn, type Verdict } from './read-response.ts'
import { findDifference } from './differences.ts'

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')
const head = (fields: string, status = '200 OK'): string => `HTTP/1.1 ${status}\r\n${fields}\r\n`

const VALID: readonly (readonly [what: string, bytes: string, status: number, body: string])[] = [
  ['a length', `${head('Content-Length: 2\r\n')}{}`, 200, '{}'],
  ['an empty body', head('Content-Length: 0\r\n'), 200, ''],
  ['chunks', `${head('Transfer-Encoding: chunked\r\n')}1\r\n{\r\n1\r\n}\r\n0\r\n\r\n`, 200, '{}'],
  [
    'chunks with trailers',
    `${head('Transfer-Encoding: chunked\r\n')}A\r\n0123456789\r\n0\r\nX-A: b\r\nX-B:\r\n\r\n`,
    200,
    '0123456789',
  ],
  ['interim responses', `${head('', '103 X').repeat(3)}${head('Content-Length: 0\r\n')}`, 200, ''],
  ['a status without a body', head('Date: x\r\n', '204 No Content'), 204, ''],
  ['a 304 with the length of what was not sent', head('Content-Length: 9\r\n', '304 X'), 304, ''],
  ['no reason', `${head('Content-Length: 2\r\n', '500')}{}`, 500, '{}'],
  [
    'line ends in the body',
    `${head('Content-Length: 8\r\n')}\r\n\r\n\r\n\r\n`,
    200,
    '\r\n\r\n\r\n\r\n',
  ],
]

const INVALID: readonly (readonly [what: string, bytes: string])[] = [
  ['no length', head('')],
  ['two equal lengths', `${head('Content-Length: 2\r\nContent-Length: 2\r\n')}{}`],
  ['a list of lengths', `${head('Content-Length: 2, 2\r\n')}{}`],
  ['a length with a sign', `${head('Content-Length: +2\r\n')}{}`],
  ['a length of 16 digits', head('Content-Length: 0000000000000002\r\n')],
  ['an empty length', head('Content-Length:\r\n')],
  ['two codings', head('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n')],
  ['a tab behind its coding', `${head('Transfer-Encoding: chunked\t\r\n')}0\r\n\r\n`],
  ['a tab before its length', head('Content-Length:\t0\r\n')],
  ['another coding', head('Transfer-Encoding: gzip, chunked\r\n')],
  ['a coding in a 204', head('Transfer-Encoding: chunked\r\n', '204 X')],
  ['a length in a 204', head('Content-Length: 1\r\n', '204 X')],
  ['a length in an interim response', head('Content-Length: 1\r\n', '103 X')],
  ['a close in an interim response', head('Connection: close\r\n', '103 X')],
  ['HTTP/1.0', `HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n`],
  ['a folded line', head('X-A: b\r\n c\r\nContent-Length: 0\r\n')],
  ['a folded first line', head(' X-A: b\r\nContent-Length: 0\r\n')],
  ['a name without a value or colon', head('X-A\r\nContent-Length: 0\r\n')],
  ['an empty name', head(': b\r\nContent-Length: 0\r\n')],
  ['a bare LF', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
  ['an empty line before it', `\r\n${head('Content-Length: 0\r\n')}`],
  ['a chunk extension', `${head('Transfer-Encoding: chunked\r\n')}1;a=b\r\nx\r\n0\r\n\r\n`],
  ['a chunk size without digits', `${head('Transfer-Encoding: chunked\r\n')}\r\nx\r\n0\r\n\r\n`],
  [
    'a chunk size of 9 digits',
    `${head('Transfer-Encoding: chunked\r\n')}000000001\r\nx\r\n0\r\n\r\n`,
  ],
  ['a space behind a chunk size', `${head('Transfer-Encoding: chunked\r\n')}1 \r\nx\r\n0\r\n\r\n`],
  ['a bare LF behind a chunk size', `${head('Transfer-Encoding: chunked\r\n')}1\nx\r\n0\r\n\r\n`],
  ['a chunk that ends in LF', `${head('Transfer-Encoding: chunked\r\n')}1\r\nx\n0\r\n\r\n`],
  [
    'a length in its trailers',
    `${head('Transfer-Encoding: chunked\r\n')}0\r\nContent-Length: 0\r\n\r\n`,
  ],
  ['an invalid trailer', `${head('Transfer-Encoding: chunked\r\n')}0\r\nX A: b\r\n\r\n`],
  ['a change of protocol', head('Upgrade: x\r\nConnection: upgrade\r\n', '101 X')],
]

const LONG = 'a'.repeat(48_000)

/** The verdict however the bytes are split in two, and byte by byte; fails when they differ. */
function verdictInAnySplit(bytes: Buffer, method = 'GET'): Verdict {
  const whole = readOwn(bytes, { method })
  for (let at = 1; at < bytes.length; at++) {
    expect(readOwn(bytes, { method, splits: [at] })).toEqual(whole)
  }
  const everywhere = Array.from({ length: bytes.length }, (_, at) => at)
  expect(readOwn(bytes, { method, splits: everywhere })).toEqual(whole)
  return whole.verdict
}

describe('a response with', () => {
  test.for(VALID)('%s is read, wherever its bytes are split', ([, bytes, status, body]) => {
    expect(verdictInAnySplit(latin1(bytes))).toMatchObject({ status, body })
  })

  test.for(INVALID)('%s is refused, wherever its bytes are split', ([, bytes]) => {
    expect(verdictInAnySplit(latin1(bytes))).toEqual({
      refused: expect.stringContaining('invalid HTTP/1.1 response') as string,
    })
  })

  test('any byte but text in its head is refused', () => {
    for (let code = 0; code < 256; code++) {
      const isText = code === 0x09 || (code >= 0x20 && code !== 0x7f)
      const value = String.fromCharCode(code)
      const { verdict } = readOwn(latin1(head(`X-A: a${value}b\r\nContent-Length: 0\r\n`)))
      expect([code, 'status' in verdict]).toEqual([code, isText])
    }
  })
})

test('a response is complete at its last byte, and not before', () => {
  for (const [, text, status] of VALID) {
    const bytes = latin1(text)
    for (let length = 0; length < bytes.length; length++) {
      const { verdict } = readOwn(bytes.subarray(0, length))
      expect(verdict).toEqual({ refused: 'the connection ended' })
    }
    expect(readOwn(bytes).verdict).toMatchObject({ status })
  }
})

test('bytes behind a response are not read', () => {
  for (const [, text, status] of VALID) {
    const { verdict, rest } = readOwn(latin1(`${text}HTTP/1.1 500 X\r\n\r\n`))
    expect(verdict).toMatchObject({ status })
    expect(rest).toBe(18)
  }
})

test.for([
  ['a length', head('Content-Length: 9\r\n')],
  ['chunks', head('Transfer-Encoding: chunked\r\n')],
] as const)('the response to HEAD with %s has no body', ([, text]) => {
  expect(readOwn(latin1(`${text}HTTP`), { method: 'HEAD' })).toMatchObject({
    verdict: { status: 200, body: '' },
    rest: 4,
  })
})

test('values keep their bytes, without white space around them, and all values of a name are kept', () => {
  const fields = 'X-A:  caf\xe9 \t\r\nx-a:\r\nX-A: b  c\r\n__proto__: d\r\nContent-Length: 0\r\n'
  const { verdict } = readOwn(latin1(head(fields)))
  expect(verdict).toEqual({
    status: 200,
    headers: Object.fromEntries([
      ['x-a', ['caf\xe9', '', 'b  c']],
      ['__proto__', ['d']],
      ['content-length', ['0']],
    ]),
    body: '',
  })
})

test.for([
  ['a head', head(`X-A: ${LONG}${LONG}\r\nContent-Length: 0\r\n`)],
  ['an interim head', head(`X-A: ${LONG}${LONG}\r\n`, '103 X')],
  ['trailers', `${head('Transfer-Encoding: chunked\r\n')}0\r\nX-A: ${LONG}${LONG}\r\n\r\n`],
] as const)('%s of more than 48 KiB is refused before it ends', ([, text]) => {
  const { verdict } = readOwn(latin1(text.slice(0, 60_000)))
  expect(verdict).toEqual({ refused: 'invalid HTTP/1.1 response: too many bytes of header' })
})

describe('compared with undici and node:http', () => {
  let oracles: Oracles

  beforeAll(async () => {
    oracles = await startOracles()
  })

  afterAll(() => oracles.close())

  test('any valid response is read as it is meant, in any pieces', () => {
    fc.assert(
      fc.property(validResponse, fc.array(fc.nat({ max: 1_000 })), (response, splits) => {
        const { method, bytes, expected } = response
        expect(readOwn(bytes, { method, splits })).toMatchObject({ verdict: expected, rest: 0 })
      }),
      { numRuns: 500 },
    )
  })

  test('a valid response is read alike', async () => {
    await fc.assert(
      fc.asyncProperty(validResponse, async (response) => {
        expect(await findDifference(response, oracles)).toBeUndefined()
      }),
      { numRuns: 150 },
    )
  })

  test('a damaged response is read alike, or refused for a known reason', async () => {
    await fc.assert(
      fc.asyncProperty(damagedResponse, async (response) => {
        expect(await findDifference(response, oracles)).toBeUndefined()
      }),
      { numRuns: 300 },
    )
  })
})
