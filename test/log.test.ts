import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'

import { expect, onTestFinished, test } from 'vitest'

import { ConfigError } from '../src/config/problem.ts'
import { createLog } from '../src/log.ts'
import { UpstreamError } from '../src/upstream/errors.ts'
import { createApiServerCertificates } from './support/api-server-certificates.ts'

function logged(err: unknown): Record<string, unknown> {
  const lines: string[] = []
  createLog({ level: 'info', destination: { write: (line) => lines.push(line) } }).error({ err })
  return (JSON.parse(lines[0] ?? '') as { err: Record<string, unknown> }).err
}

test('a configuration error is logged with its problems and without a stack', () => {
  const problem = {
    ...{ file: 'rules.yaml', line: 3, column: 1, field: 'rule' },
    ...{ message: 'unknown field', fix: 'did you mean rules?' },
  }
  expect(logged(new ConfigError([problem]))).toEqual({
    type: 'ConfigError',
    message: 'rules.yaml:3:1: rule: unknown field (did you mean rules?)',
  })
})

test('other errors are logged with their stack', () => {
  expect(logged(new TypeError('unexpected'))).toEqual({
    type: 'TypeError',
    message: 'unexpected',
    stack: expect.stringContaining('log.test.ts') as string,
  })
})

test('a certificate of an unknown CA is logged without a stack and without advice for Node', async () => {
  const { serving } = await createApiServerCertificates()
  const pem = { cert: serving.certificatePem, key: serving.keyPem }
  const server = createTlsServer(pem).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const [error] = (await once(connectTls({ port, host: '127.0.0.1' }), 'error')) as [Error]
  expect(error.message).toContain('--use-system-ca')
  const wrapped = new Error('the connection failed', { cause: error })
  expect(logged(Object.assign(wrapped, { code: 'UND_ERR_SOCKET' }))).toEqual({
    type: 'Error',
    message: 'the connection failed',
    code: 'UND_ERR_SOCKET',
    cause: {
      type: 'Error',
      message: 'unable to verify the first certificate',
      code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    },
  })
})

test('an error with a code that may be a fault of the code is logged with its stack', () => {
  const error = Object.assign(new TypeError('x'), { code: 'ERR_INVALID_ARG_TYPE' })
  expect(logged(error)).toHaveProperty('stack')
})

test('a failure of the API server is logged without a stack', () => {
  const error = new UpstreamError('credential', 'BadGateway', 'the credential is rejected')
  expect(logged(error)).toEqual({ type: 'UpstreamError', message: 'the credential is rejected' })
})

test('a refused connection is logged with its address and without a stack', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  const [error] = (await once(connect(port, '127.0.0.1'), 'error')) as [Error]
  expect(logged(error)).toEqual({
    type: 'Error',
    message: `connect ECONNREFUSED 127.0.0.1:${port}`,
    code: 'ECONNREFUSED',
  })
})
