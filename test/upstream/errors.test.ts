import { describe, expect, test } from 'vitest'

import { INVALID_RESPONSE, mapUpstreamError } from '../../src/upstream/errors.ts'

function systemError(code: string, syscall?: string): Error {
  return Object.assign(new Error(`${syscall ?? ''} ${code}`), { code, syscall })
}

function wrapped(cause: Error): Error {
  return Object.assign(new Error('other side closed', { cause }), { code: 'UND_ERR_SOCKET' })
}

describe('a failure of the way upstream', () => {
  const cases: { name: string; error: unknown; kind: string; code: number; retry: boolean }[] = [
    {
      name: 'that nobody listens is 503, to be asked again',
      error: systemError('ECONNREFUSED', 'connect'),
      kind: 'connect',
      code: 503,
      retry: true,
    },
    {
      name: 'to connect to any of several addresses is 503',
      error: new AggregateError([systemError('ECONNREFUSED', 'connect')]),
      kind: 'connect',
      code: 503,
      retry: true,
    },
    {
      name: 'to connect in time is 503',
      error: systemError('ETIMEDOUT'),
      kind: 'connect',
      code: 503,
      retry: true,
    },
    {
      name: 'of an established connection is 502 and never asked again',
      error: wrapped(systemError('ETIMEDOUT', 'read')),
      kind: 'reset',
      code: 502,
      retry: false,
    },
    {
      name: 'by a reset is 502 and never asked again',
      error: wrapped(systemError('ECONNRESET', 'read')),
      kind: 'reset',
      code: 502,
      retry: false,
    },
    {
      name: 'of a certificate is 502',
      error: systemError('ERR_TLS_CERT_ALTNAME_INVALID'),
      kind: 'tls',
      code: 502,
      retry: false,
    },
    {
      name: 'to answer in time is 504',
      error: systemError('UND_ERR_HEADERS_TIMEOUT'),
      kind: 'timeout',
      code: 504,
      retry: false,
    },
    {
      name: 'to speak HTTP is 502',
      error: systemError('HPE_INVALID_CONSTANT'),
      kind: 'protocol',
      code: 502,
      retry: false,
    },
    {
      name: 'to speak HTTP at all is 502',
      error: Object.assign(new Error('Expected HTTP/'), { name: 'HTTPParserError' }),
      kind: 'protocol',
      code: 502,
      retry: false,
    },
    {
      name: 'to give an answer that can be passed on is 502',
      error: systemError(INVALID_RESPONSE),
      kind: 'protocol',
      code: 502,
      retry: false,
    },
    {
      name: 'to send a header is the 400 of the client',
      error: systemError('ERR_INVALID_CHAR'),
      kind: 'request',
      code: 400,
      retry: false,
    },
    {
      name: 'that says nothing of itself is 502',
      error: undefined,
      kind: 'reset',
      code: 502,
      retry: false,
    },
  ]

  test.for(cases)('$name', ({ error, kind, code, retry }) => {
    const mapped = mapUpstreamError(error)
    expect(mapped.kind).toBe(kind)
    expect(mapped.error.code).toBe(code)
    expect('Retry-After' in mapped.error.headers).toBe(retry)
  })
})

test('a certificate of a foreign CA is told in words, without an option of Node', () => {
  const cause = Object.assign(new Error('…; try running Node.js with --use-system-ca'), {
    code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  })
  const { error, kind } = mapUpstreamError(cause)
  expect(error.cause).toMatchObject({
    message: expect.stringMatching(
      /^its certificate is signed by none of the CAs of the upstream kubeconfig's certificate-authority .*\(UNABLE_TO_VERIFY_LEAF_SIGNATURE\)$/,
    ) as string,
    cause,
  })
  expect(mapUpstreamError(error.cause).kind).toBe(kind)
})
