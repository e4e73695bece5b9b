import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'

import { expect, test } from 'vitest'

import { createAcceptedSockets, type AddressBounds } from '../../src/server/accepted-sockets.ts'

const BOUNDS: AddressBounds = {
  maxConnectionsPerAddress: 3,
  handshakes: { requestsPerSecond: 1, burst: 5 },
  maxTrackedKeys: 10,
}

let ports = 1_024

function socket(remoteAddress: string): Socket {
  return Object.assign(new EventEmitter(), {
    remoteAddress,
    remotePort: ports++,
  }) as unknown as Socket
}

function setup(bounds: Partial<AddressBounds> = {}) {
  const clock = { now: 0 }
  const accepted = createAcceptedSockets({ ...BOUNDS, ...bounds }, () => clock.now)
  return { accepted, clock }
}

test('so many are open at once of one address, and one more when one has closed', () => {
  const { accepted } = setup()
  const open = [socket('192.0.2.1'), socket('192.0.2.1'), socket('192.0.2.1')]
  expect(open.map((one) => accepted.add(one, 1))).toEqual([undefined, undefined, undefined])
  expect(accepted.add(socket('192.0.2.1'), 1)).toBe('address')
  expect(accepted.add(socket('192.0.2.2'), 1)).toBeUndefined()
  open[0]?.emit('close')
  expect(accepted.add(socket('192.0.2.1'), 1)).toBeUndefined()
  expect(accepted.add(socket('192.0.2.1'), 1)).toBe('address')
})

test('so many are opened in a row by one address, and then as many as come back in time', () => {
  const { accepted, clock } = setup()
  const openAndClose = (address: string) => {
    const one = socket(address)
    const refusal = accepted.add(one, 1)
    one.emit('close')
    return refusal
  }
  const five = Array.from({ length: 5 }, () => openAndClose('192.0.2.1'))
  expect(five).toEqual(five.map(() => undefined))
  expect(openAndClose('192.0.2.1')).toBe('handshake_rate')
  expect(openAndClose('192.0.2.2')).toBeUndefined()
  clock.now += 999
  expect(openAndClose('192.0.2.1')).toBe('handshake_rate')
  clock.now += 1
  expect(openAndClose('192.0.2.1')).toBeUndefined()
})

test('one that is refused takes no place', () => {
  const { accepted, clock } = setup({ handshakes: { requestsPerSecond: 1, burst: 1 } })
  accepted.add(socket('192.0.2.1'), 1)
  for (let i = 0; i < 9; i++) accepted.add(socket('192.0.2.1'), 1)
  clock.now += 1_000
  expect(accepted.add(socket('192.0.2.1'), 1)).toBeUndefined()
})

test.for<readonly [string, string, string]>([
  ['of an IPv6 network of 64 bits', '2001:db8::1', '2001:db8::ffff:2'],
  ['of IPv4 seen through IPv6', '::ffff:192.0.2.1', '192.0.2.1'],
])('addresses %s count as one', ([, first, second]) => {
  const { accepted } = setup({ maxConnectionsPerAddress: 1 })
  expect(accepted.add(socket(first), 1)).toBeUndefined()
  expect(accepted.add(socket(second), 1)).toBe('address')
})

test('the loading of the client CA at accept is remembered until the end; 0 for a stranger to it', () => {
  const { accepted } = setup()
  const one = socket('192.0.2.1')
  accepted.add(one, 7)
  expect(accepted.generationOf(one)).toBe(7)
  one.emit('close')
  expect(accepted.generationOf(one)).toBe(0)
})
