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

test('of a configuration the problems are logged, and no stack', () => {
  const problem = {
    ...{ file: 'rules.yaml', line: 3, column: 1, field: 'rule' },
    ...{ message: 'unknown field', fix: 'did you mean rules?' },
  }
  expect(logged(new ConfigError([problem]))).toEqual({
    type: 'ConfigError',
    message: 'rules.yaml:3:1: rule: unknown field (did you mean rules?)',
  })
})

test('of other errors the stack is', () => {
  expect(logged(new TypeError('out of the blue'))).toEqual({
    type: 'TypeError',
    message: 'out of the blue',
    stack: expect.stringContaining('log.test.ts') as string,
  })
})

test('of a connection that was refused the address is logged, and no stack', async () => {
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
