import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'

import { expect, test } from 'vitest'

import { ConfigError } from '../src/config/problem.ts'
import { createLog } from '../src/log.ts'

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
