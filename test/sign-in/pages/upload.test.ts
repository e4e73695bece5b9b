/** The form with a certificate request: whatever a browser, or somebody else, sends. */
import { describe, expect, test } from 'vitest'

import type { Exchange } from '../../../src/http/exchange.ts'
import { readUpload } from '../../../src/sign-in/pages/upload.ts'
import { StatusError } from '../../../src/status.ts'

const BOUNDARY = '----WebKitFormBoundary7MA4YWxk'
const TYPE = `multipart/form-data; boundary=${BOUNDARY}`
const END = `--${BOUNDARY}--\r\n`

/** An exchange of which only the body and its type are used. */
function exchangeWith(body: Buffer, type: string): Exchange {
  const exchange: Pick<Exchange, 'header' | 'receiveBody'> & { request: object } = {
    request: { contentLength: body.length },
    header: () => type,
    receiveBody(receiver) {
      receiver.onData(body)
      receiver.onEnd()
    },
  }
  return exchange as unknown as Exchange
}

const read = (body: string | Buffer, type = TYPE): Promise<string> =>
  readUpload(exchangeWith(Buffer.from(body), type))

const part = (headers: string, content: string): string =>
  `--${BOUNDARY}\r\n${headers}\r\n\r\n${content}\r\n`
const TEXT = 'Content-Disposition: form-data; name="request"'
const FILE = 'Content-Disposition: form-data; name="file"; filename="a.csr"'

describe('a form', () => {
  test.for([
    ['a text', part(TEXT, ' pem \r\n'), 'pem'],
    ['a file', part(`${FILE}\r\nContent-Type: application/octet-stream`, 'pem'), 'pem'],
    ['a text, and no file chosen', part(TEXT, 'pem') + part(FILE.replace('a.csr', ''), ''), 'pem'],
    ['other fields', part(TEXT.replace('request', '__proto__'), 'x') + part(TEXT, 'pem'), 'pem'],
  ] as const)('with %s is read', async ([, parts, expected]) => {
    expect(await read(`${parts}${END}`)).toBe(expected)
  })

  test.for([
    ['two texts', part(TEXT, 'a') + part(TEXT, 'b')],
    ['a text and a file', part(TEXT, 'a') + part(FILE, 'b')],
    ['no field', ''],
    ['a field without a name', part('Content-Disposition: form-data', 'pem')],
    ['a part without a header', `--${BOUNDARY}\r\n\r\npem\r\n`],
  ] as const)('with %s is refused', async ([, parts]) => {
    await expect(read(`${parts}${END}`)).rejects.toMatchObject({ code: 400 })
  })

  test.for(['', 'text/plain', 'multipart/mixed; boundary=x', 'multipart/form-data'])(
    'of the type %j is refused',
    async (type) => {
      await expect(read(`${part(TEXT, 'pem')}${END}`, type)).rejects.toMatchObject({ code: 400 })
    },
  )
})

test('bytes that are cut off or changed are read or refused, and nothing else happens', async () => {
  const good = Buffer.from(`${part(TEXT, 'pem')}${part(FILE, 'x'.repeat(40))}${END}`)
  const hostile = Array.from(good, (byte, i) => [
    good.subarray(0, i),
    good.with(i, byte ^ 0xff),
    good.with(i, 0x0a),
    Buffer.concat([good.subarray(0, i), Buffer.from(`--${BOUNDARY}\r\n`), good.subarray(i)]),
  ]).flat()
  const outcomes = await Promise.all(
    hostile.map((bytes) =>
      read(Buffer.from(bytes)).then(
        (text) => typeof text,
        (error: unknown) => (error instanceof StatusError ? error.code : error),
      ),
    ),
  )
  expect(new Set(outcomes)).toEqual(new Set(['string', 400]))
})
