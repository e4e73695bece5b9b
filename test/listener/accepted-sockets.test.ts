import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'

import { describe, expect, test } from 'vitest'

import {
  createAcceptedSockets,
  socketKey,
  type AcceptLimits,
} from '../../src/listener/accepted-sockets.ts'

const LIMITS: AcceptLimits = {
  maxConnections: 100,
  maxConnectionsPerAddress: 3,
  handshakes: { requestsPerSecond: 1, burst: 5 },
  maxTrackedKeys: 10,
}

let ports = 1_024

function socket(remoteAddress: string): Socket {
  const emitter = new EventEmitter()
  const destroy = (): unknown => emitter.emit('close')
  return Object.assign(emitter, {
    remoteAddress,
    remotePort: ports++,
    destroy,
  }) as unknown as Socket
}

function setup(limits: Partial<AcceptLimits> = {}) {
  const clock = { now: 0 }
  const busy = new Set<string>()
  const evicted = { count: 0, address: '' }
  const handshakesEvicted: string[] = []
  const accepted = createAcceptedSockets(
    { ...LIMITS, ...limits },
    {
      isIdle: (key) => !busy.has(key),
      onHandshakeEvicted: (address) => handshakesEvicted.push(address),
      onEvicted: (address) => {
        evicted.count += 1
        evicted.address = address
      },
      now: () => clock.now,
    },
  )
  const open = (remoteAddress: string) => {
    const one = socket(remoteAddress)
    const closed = { yet: false }
    one.once('close', () => (closed.yet = true))
    return { one, closed, refusal: accepted.add(one, 1) }
  }
  return { accepted, clock, busy, evicted, handshakesEvicted, open }
}

test('an address has a limited number of open connections, and gets another one after one has closed', () => {
  const { accepted } = setup()
  const open = [socket('192.0.2.1'), socket('192.0.2.1'), socket('192.0.2.1')]
  expect(open.map((one) => accepted.add(one, 1))).toEqual([undefined, undefined, undefined])
  expect(accepted.add(socket('192.0.2.1'), 1)).toBe('address')
  expect(accepted.add(socket('192.0.2.2'), 1)).toBeUndefined()
  open[0]?.emit('close')
  expect(accepted.add(socket('192.0.2.1'), 1)).toBeUndefined()
  expect(accepted.add(socket('192.0.2.1'), 1)).toBe('address')
})

test('an address opens a burst of connections, and then as many as the rate allows', () => {
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

test('a refused connection does not count', () => {
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

describe('at the limit of all connections', () => {
  test('the oldest idle connection of the address with the most connections is evicted', () => {
    const { busy, evicted, open } = setup({ maxConnections: 4 })
    const early = open('192.0.2.1')
    const held = [open('192.0.2.2'), open('192.0.2.2'), open('192.0.2.2')]
    busy.add(socketKey(held[0]!.one))
    expect(open('192.0.2.3').refusal).toBeUndefined()
    expect([early, ...held].map(({ closed }) => closed.yet)).toEqual([false, false, true, false])
    expect(evicted).toEqual({ count: 1, address: '192.0.2.2' })
  })

  test('the oldest idle connection of all is evicted if all of that address are busy', () => {
    const { busy, open } = setup({ maxConnections: 4 })
    const idle = [open('192.0.2.1'), open('192.0.2.3')]
    for (const { one } of [open('192.0.2.2'), open('192.0.2.2')]) busy.add(socketKey(one))
    expect(open('192.0.2.4').refusal).toBeUndefined()
    expect(idle.map(({ closed }) => closed.yet)).toEqual([true, false])
  })

  test('a new connection is refused if all are busy', () => {
    const { busy, evicted, open } = setup({ maxConnections: 3 })
    busy.add(socketKey(open('192.0.2.1').one))
    for (const { one } of [open('192.0.2.2'), open('192.0.2.2')]) busy.add(socketKey(one))
    expect(open('192.0.2.3').refusal).toBe('total')
    expect(evicted.count).toBe(0)
  })

  test('a new connection is accepted after one has closed', () => {
    const { evicted, open } = setup({ maxConnections: 2 })
    open('192.0.2.1').one.emit('close')
    open('192.0.2.1')
    expect(open('192.0.2.2').refusal).toBeUndefined()
    expect(evicted.count).toBe(0)
  })
})

test('a connection keeps the generation of the client CA at accept until it closes; others have 0', () => {
  const { accepted } = setup()
  const one = socket('192.0.2.1')
  accepted.add(one, 7)
  expect(accepted.factsOf(one).generation).toBe(7)
  one.emit('close')
  expect(accepted.factsOf(one).generation).toBe(0)
})

test('a connection still counts after an earlier one from the same port has closed', () => {
  const { accepted, open } = setup({ maxConnections: 2 })
  const before = socket('192.0.2.1')
  const { remotePort } = before
  accepted.add(before, 1)
  const after = Object.assign(socket('192.0.2.1'), { remotePort })
  accepted.add(after, 2)
  before.emit('close')
  expect(accepted.factsOf(after).generation).toBe(2)
  open('192.0.2.2')
  const { refusal } = open('192.0.2.3')
  expect(refusal).toBeUndefined()
  expect(accepted.factsOf(after).generation).toBe(0)
})

test('the oldest of too many unfinished handshakes is counted apart from other evictions', () => {
  const { open, evicted, handshakesEvicted } = setup({
    maxConnectionsPerAddress: 100,
    handshakes: { requestsPerSecond: 1, burst: 100 },
  })
  for (let i = 0; i < 65; i++) open('192.0.2.1')
  expect(handshakesEvicted).toEqual(['192.0.2.1'])
  expect(evicted.count).toBe(0)
})
