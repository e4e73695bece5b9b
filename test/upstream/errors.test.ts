import { describe, expect, test } from 'vitest'

import { StatusError } from '../../src/status.ts'
import { neverConnected, toUpstreamError, UpstreamError } from '../../src/upstream/errors.ts'

function systemError(code: string, syscall?: string): Error {
  return Object.assign(new Error(`${syscall ?? ''} ${code}`), { code, syscall })
}

function wrapped(cause: Error): Error {
  return Object.assign(new Error('other side closed', { cause }), { code: 'UND_ERR_SOCKET' })
}

describe('an error of the connection to the API server', () => {
  const cases: { name: string; error: unknown; kind: string; code: number; retry: boolean }[] = [
    {
      name: 'that no server listens is a 503 to be retried',
      error: systemError('ECONNREFUSED', 'connect'),
      kind: 'connect',
      code: 503,
      retry: true,
    },
    {
      name: 'that none of several addresses accepts is a 503 to be retried',
      error: new AggregateError([systemError('ECONNREFUSED', 'connect')]),
      kind: 'connect',
      code: 503,
      retry: true,
    },
    {
      name: 'that connecting timed out is a 503 to be retried',
      error: systemError('ETIMEDOUT'),
      kind: 'connect',
      code: 503,
      retry: true,
    },
    {
      name: 'that an established connection timed out is a 502 without Retry-After',
      error: wrapped(systemError('ETIMEDOUT', 'read')),
      kind: 'reset',
      code: 502,
      retry: false,
    },
    {
      name: 'that an established connection was reset is a 502 without Retry-After',
      error: wrapped(systemError('ECONNRESET', 'read')),
      kind: 'reset',
      code: 502,
      retry: false,
    },
    {
      name: 'that a certificate is not trusted is a 502',
      error: systemError('ERR_TLS_CERT_ALTNAME_INVALID'),
      kind: 'tls',
      code: 502,
      retry: false,
    },
    {
      name: 'that the response timed out is a 504',
      error: new UpstreamError('timeout', 'Timeout', 'the API server did not respond in time'),
      kind: 'timeout',
      code: 504,
      retry: false,
    },
    {
      name: 'that a response is not valid HTTP is a 502',
      error: systemError('HPE_INVALID_CONSTANT'),
      kind: 'protocol',
      code: 502,
      retry: false,
    },
    {
      name: 'that a response is another protocol is a 502',
      error: Object.assign(new Error('Expected HTTP/'), { name: 'HTTPParserError' }),
      kind: 'protocol',
      code: 502,
      retry: false,
    },
    {
      name: 'that a request header cannot be forwarded is a 400',
      error: systemError('ERR_INVALID_CHAR'),
      kind: 'request',
      code: 400,
      retry: false,
    },
    {
      name: 'without a code is a 502',
      error: undefined,
      kind: 'reset',
      code: 502,
      retry: false,
    },
  ]

  test.for(cases)('$name', ({ error, kind, code, retry }) => {
    const mapped = toUpstreamError(error)
    expect(mapped.kind).toBe(kind)
    expect(mapped.code).toBe(code)
    expect('Retry-After' in mapped.headers).toBe(retry)
  })
})

test('an UpstreamError keeps its kind', () => {
  const error = new UpstreamError('queue', 'ServiceUnavailable', 'full')
  expect(toUpstreamError(error)).toBe(error)
})

test('a certificate of an unknown CA is described without an option of Node', () => {
  const cause = Object.assign(new Error('…; try running Node.js with --use-system-ca'), {
    code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  })
  const error = toUpstreamError(cause)
  expect(error.cause).toMatchObject({
    message: expect.stringMatching(
      /^its certificate is not signed by a CA in the certificate-authority of the upstream kubeconfig .*\(UNABLE_TO_VERIFY_LEAF_SIGNATURE\)$/,
    ) as string,
    cause,
  })
  expect(error.kind).toBe('tls')
  expect(toUpstreamError(error.cause).kind).toBe('tls')
})

test('before a connection is established, a reset sent nothing', () => {
  expect(neverConnected(systemError('ECONNRESET', 'read'))).toMatchObject({
    ...{ kind: 'connect', code: 503, headers: { 'Retry-After': '1' } },
    message: 'the API server cannot be reached (ECONNRESET)',
  })
  const shutdown = new StatusError('ServiceUnavailable', 'shutting down')
  const untrusted = Object.assign(new Error('no'), { code: 'CERT_HAS_EXPIRED' })
  for (const error of [shutdown, untrusted]) expect(neverConnected(error)).toBe(error)
})
