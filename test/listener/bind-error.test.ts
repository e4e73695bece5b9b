import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

import { expect, test } from 'vitest'

import { BindError, binding } from '../../src/listener/bind-error.ts'

const failing = (code: string) => () =>
  Promise.reject(Object.assign(new Error(`listen ${code}`), { code }))

test.for([
  [
    'EADDRINUSE',
    { field: 'probes', address: '::1', port: 8081 },
    'probes: [::1]:8081 is in use (stop what listens there, or choose another probes.port)',
  ],
  [
    'EACCES',
    { field: 'listener', address: '0.0.0.0', port: 443 },
    'listener: 0.0.0.0:443 is not allowed ' +
      '(choose a listener.port from 1024 on, or grant CAP_NET_BIND_SERVICE)',
  ],
  [
    'EACCES',
    { field: 'listener', address: '0.0.0.0', port: 8443 },
    'listener: 0.0.0.0:8443 is not allowed (choose another listener.port)',
  ],
  [
    'EADDRNOTAVAIL',
    { field: 'listener', address: '192.0.2.1', port: 8443 },
    'listener: 192.0.2.1 is no address of this machine ' +
      '(correct listener.address; 0.0.0.0 means every one)',
  ],
] as const)('%s is told with listener, address and fix', async ([code, wanted, message]) => {
  await expect(binding(wanted, failing(code))).rejects.toEqual(new BindError(message))
})

test('a failure that has nothing to do with the address stays what it is', async () => {
  const error = new Error('out of the blue')
  const start = () => Promise.reject(error)
  const wanted = { field: 'listener', address: '127.0.0.1', port: 0 }
  await expect(binding(wanted, start)).rejects.toBe(error)
})

test('a listener that has its address is handed on', async () => {
  const server = createServer()
  const bound = await binding({ field: 'probes', address: '127.0.0.1', port: 0 }, async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return server.address() as AddressInfo
  })
  expect(bound.port).toBeGreaterThan(0)
  server.close()
})
