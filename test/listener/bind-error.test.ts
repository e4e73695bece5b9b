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
    'probes: [::1]:8081 is already in use (stop the process that listens there, or choose another probes.port)',
  ],
  [
    'EACCES',
    { field: 'listener', address: '0.0.0.0', port: 443 },
    'listener: no permission to bind 0.0.0.0:443 ' +
      '(choose a listener.port of 1024 or higher, or grant CAP_NET_BIND_SERVICE)',
  ],
  [
    'EACCES',
    { field: 'listener', address: '0.0.0.0', port: 8443 },
    'listener: no permission to bind 0.0.0.0:8443 (choose another listener.port)',
  ],
  [
    'EADDRNOTAVAIL',
    { field: 'listener', address: '192.0.2.1', port: 8443 },
    'listener: 192.0.2.1 is not an address of this machine ' +
      '(correct listener.address; 0.0.0.0 means all addresses)',
  ],
  [
    'EAFNOSUPPORT',
    { field: 'listener', address: '::1', port: 8443 },
    'listener: ::1: this machine does not support that address family ' +
      '(choose an IPv4 listener.address)',
  ],
] as const)(
  '%s is reported with the listener, the address and a fix',
  async ([code, wanted, message]) => {
    await expect(binding(wanted, failing(code))).rejects.toEqual(new BindError(message))
  },
)

test('an error that is not about the address is passed on unchanged', async () => {
  const error = new Error('unexpected')
  const start = () => Promise.reject(error)
  const wanted = { field: 'listener', address: '127.0.0.1', port: 0 }
  await expect(binding(wanted, start)).rejects.toBe(error)
})

test('a listener that is bound is returned', async () => {
  const server = createServer()
  const bound = await binding({ field: 'probes', address: '127.0.0.1', port: 0 }, async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return server.address() as AddressInfo
  })
  expect(bound.port).toBeGreaterThan(0)
  server.close()
})
